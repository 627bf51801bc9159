// What both entry points export.

export { OptionsError, type VerifierOptions } from './options.js';
export type { Accepted, Reason, Refused, Session, Verdict } from './session.js';
export { createVerifier, type CookieHeader, type Verifier } from './verifier.js';
