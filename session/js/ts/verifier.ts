// The verifier: a thin shell around the compiled session crate, which does the deciding.

import { checkOptions, OptionsError, type VerifierOptions } from './options.js';
import type { Reason, Session, Verdict } from './session.js';
import { CookieReader } from './wasm/gatepost_session.js';

/** What a request has for its `Cookie` header: one line, several, or none. */
export type CookieHeader = string | readonly string[] | null | undefined;

/** Verifies the sessions of one application. */
export interface Verifier {
  /** The application. */
  readonly audience: string;
  /**
   * What the cookies of a request amount to. Never throws, whatever it is passed.
   *
   * @param header the `Cookie` header as it came
   * @param now the time, as `Date` or in Unix *seconds*; without this the system's
   */
  fromCookieHeader(header: CookieHeader, now?: Date | number): Verdict;
}

/**
 * The longest header that is looked at, in characters: as much as Traefik lets through. What is
 * longer would make the module's memory grow for good.
 */
const MAX_HEADER_LENGTH = 1 << 20;

/**
 * Makes a verifier. Costs a key derivation for each key: make one at start, not for each request.
 *
 * @throws {OptionsError} when an option cannot be used
 */
export function createVerifier(options: VerifierOptions): Verifier {
  const { keys, audience, issuer, cookieName, clockSkew, publishedKeys } = checkOptions(options);
  let reader: CookieReader;
  try {
    reader = new CookieReader(keys, audience, issuer, cookieName, clockSkew, publishedKeys);
  } catch (problem) {
    throw new OptionsError(String(problem));
  }
  return {
    audience,
    fromCookieHeader(header, now) {
      const cookies = asText(header);
      const seconds = asSeconds(now);
      if (cookies === undefined || seconds === undefined) {
        return { ok: false, reason: 'wrong-type' };
      }
      if (cookies.length > MAX_HEADER_LENGTH) {
        return { ok: false, reason: 'too-long' };
      }
      return verdict(JSON.parse(reader.read(cookies, seconds)));
    },
  };
}

/** All lines as one. A line is split at `;` anyway, so this changes nothing about what it says. */
function asText(header: unknown): string | undefined {
  if (header === undefined || header === null) {
    return '';
  }
  if (Array.isArray(header)) {
    return header.every((line) => typeof line === 'string') ? header.join(';') : undefined;
  }
  return typeof header === 'string' ? header : undefined;
}

function asSeconds(now: unknown): number | undefined {
  const seconds =
    now === undefined ? Date.now() / 1000 : now instanceof Date ? now.getTime() / 1000 : now;
  return typeof seconds === 'number' && Number.isFinite(seconds) ? seconds : undefined;
}

/** What `CookieReader.read` writes: claims without what has its default, or why there are none. */
type Read =
  | {
      session: Omit<Session, 'groups' | 'grp_more' | 'amr' | 'bound' | 'ext'> & Partial<Session>;
      renewalDue: boolean;
      refused?: never;
    }
  | { refused: Reason };

function verdict(read: Read): Verdict {
  if (read.refused !== undefined) {
    return { ok: false, reason: read.refused };
  }
  const { session, renewalDue } = read;
  return {
    ok: true,
    session: {
      groups: [],
      grp_more: false,
      amr: [],
      bound: false,
      ...session,
      // Without a prototype: `ext.constructor` is a claim or nothing.
      ext: Object.assign(Object.create(null), session.ext),
    },
    renewalDue,
  };
}
