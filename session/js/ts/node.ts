// For servers with a file system: Node.js, Deno and Bun.

import { readFileSync } from 'node:fs';

import { createVerifier, OptionsError, type Verifier, type VerifierOptions } from './index.js';

/** As {@link VerifierOptions}, with a file in place of the keys. */
export interface FileVerifierOptions extends Omit<VerifierOptions, 'keys'> {
  /** The keys file that outpost and plugin read. */
  readonly keysFile: string;
  /**
   * Hears why the file could not be read again; the keys read before stay in force. Without this a
   * warning is written to the console.
   */
  readonly onProblem?: ((problem: Error) => void) | undefined;
}

/** How often the file is looked at, as the plugin does. */
const INTERVAL_MS = 10_000;

/**
 * Makes a verifier that follows a keys file: keys are rotated without a restart.
 *
 * The file is looked at during a request, at most every ten seconds, and so costs nothing while
 * there are none.
 *
 * @throws {OptionsError} when an option or the file cannot be used
 */
export function createFileVerifier(options: FileVerifierOptions): Verifier {
  const { keysFile, onProblem = warn, ...rest } = options;
  if (typeof keysFile !== 'string' || keysFile === '') {
    throw new OptionsError('keysFile: expected the path of a keys file');
  }
  let keys = read(keysFile);
  let verifier = verifierOf(keys);
  // Not the system's clock, which may be set back.
  let nextLook = performance.now() + INTERVAL_MS;

  function verifierOf(text: string): Verifier {
    try {
      return createVerifier({ ...rest, keys: text });
    } catch (problem) {
      // Keys come from a file here.
      throw new OptionsError(messageOf(problem).replace(/^keys:/, `keysFile: ${keysFile}:`));
    }
  }

  function refresh(): void {
    if (performance.now() < nextLook) {
      return;
    }
    nextLook = performance.now() + INTERVAL_MS;
    try {
      const text = read(keysFile);
      if (text !== keys) {
        verifier = verifierOf(text);
        keys = text;
      }
    } catch (problem) {
      onProblem(problem as Error);
    }
  }

  return {
    audience: verifier.audience,
    fromCookieHeader(header, now) {
      refresh();
      return verifier.fromCookieHeader(header, now);
    },
  };
}

function read(keysFile: string): string {
  try {
    return readFileSync(keysFile, 'utf8');
  } catch (problem) {
    throw new OptionsError(`keysFile: ${keysFile} cannot be read: ${messageOf(problem)}`);
  }
}

function warn(problem: Error): void {
  console.warn(`gatepost: ${problem.message}; the keys read before stay in force`);
}

function messageOf(problem: unknown): string {
  return problem instanceof Error ? problem.message : String(problem);
}
