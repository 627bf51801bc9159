// The options of a verifier. Every problem is reported before the first request.

/** How to recognise the sessions of an application. */
export interface VerifierOptions {
  /**
   * The keys that sessions are signed with: a list of `kid:base64` entries, or the text of a keys
   * file. They also *sign* in the outpost, so they belong on servers only.
   */
  readonly keys: string | readonly string[];
  /** The application's name: `application` in the plugin's configuration. */
  readonly audience: string;
  /** Accept only sessions of this OpenID provider, compared exactly as text. */
  readonly issuer?: string | undefined;
  /**
   * The cookie's name. Without this `__Host-gatepost`; `__Secure-gatepost` for a whole domain, and
   * `gatepost` over plain http.
   */
  readonly cookieName?: string | undefined;
  /** How far the issuing clock may be ahead, in whole seconds up to 300. Without this 30. */
  readonly clockSkew?: number | undefined;
  /**
   * For tests: `keys` are those of Gatepost's test vectors, with which anyone can sign, and no others
   * are accepted. Without this they are refused.
   */
  readonly publishedKeys?: boolean | undefined;
}

/** An option that cannot be used. The message names it and never shows a secret. */
export class OptionsError extends Error {
  override readonly name = 'OptionsError';
}

/** Options with the types that they should have, ready to be parsed. */
export interface CheckedOptions {
  readonly keys: string;
  readonly audience: string;
  readonly issuer: string | undefined;
  readonly cookieName: string;
  readonly clockSkew: number | undefined;
  readonly publishedKeys: boolean;
}

const KNOWN = ['keys', 'audience', 'issuer', 'cookieName', 'clockSkew', 'publishedKeys'];

const DEFAULT_COOKIE_NAME = '__Host-gatepost';

/** As the plugin has it: beyond that a clock is wrong, not askew. */
const MAX_CLOCK_SKEW_SECONDS = 300;

/** Checks types and what Rust does not look at; what a text has to be like is said there. */
export function checkOptions(options: VerifierOptions): CheckedOptions {
  // Callers without a type checker pass anything.
  const given: unknown = options;
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new OptionsError(`expected an object with options, got ${kind(given)}`);
  }
  for (const name of Object.keys(given)) {
    if (!KNOWN.includes(name)) {
      throw new OptionsError(`${shown(name)}: unknown option: expected ${KNOWN.join(', ')}`);
    }
  }
  const { keys, audience, issuer, cookieName, clockSkew, publishedKeys } = given as Record<
    string,
    unknown
  >;
  return {
    keys: checkKeys(keys),
    audience: checkText('audience', audience),
    issuer: issuer === undefined ? undefined : checkText('issuer', issuer),
    cookieName: cookieName === undefined ? DEFAULT_COOKIE_NAME : checkText('cookieName', cookieName),
    clockSkew: clockSkew === undefined ? undefined : checkClockSkew(clockSkew),
    publishedKeys: publishedKeys === undefined ? false : checkFlag('publishedKeys', publishedKeys),
  };
}

function checkKeys(keys: unknown): string {
  if (typeof keys === 'string') {
    return keys;
  }
  if (!Array.isArray(keys)) {
    throw new OptionsError(`keys: expected text or a list of texts, got ${kind(keys)}`);
  }
  keys.forEach((entry: unknown, index) => {
    // In a file, comments, blank lines and commas have a meaning; in an entry of a list, none.
    if (typeof entry !== 'string' || entry.trim() === '' || /[#,\r\n]/.test(entry)) {
      const got = typeof entry === 'string' ? 'another text' : kind(entry);
      throw new OptionsError(`keys: entry ${index + 1}: expected \`kid:base64\`, got ${got}`);
    }
  });
  return keys.join('\n');
}

function checkText(name: string, value: unknown): string {
  if (typeof value !== 'string') {
    throw new OptionsError(`${name}: expected text, got ${kind(value)}`);
  }
  if (value === '') {
    throw new OptionsError(`${name}: expected text, got an empty one`);
  }
  return value;
}

function checkClockSkew(value: unknown): number {
  const usable =
    typeof value === 'number' &&
    Number.isInteger(value) &&
    value >= 0 &&
    value <= MAX_CLOCK_SKEW_SECONDS;
  if (!usable) {
    throw new OptionsError(
      `clockSkew: expected a whole number of seconds from 0 to ${MAX_CLOCK_SKEW_SECONDS}`,
    );
  }
  return value;
}

function checkFlag(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') {
    throw new OptionsError(`${name}: expected true or false, got ${kind(value)}`);
  }
  return value;
}

/** What kind of value it is, without the value. */
function kind(value: unknown): string {
  if (value === null) {
    return 'null';
  }
  if (Array.isArray(value)) {
    return 'a list';
  }
  return value === undefined ? 'nothing' : `a value of type ${typeof value}`;
}

/** The name of an option, unless it may be a key that was put in its place. */
function shown(name: string): string {
  return /^[A-Za-z]{1,24}$/.test(name) ? name : '(an option)';
}
