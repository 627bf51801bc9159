// Verifies assertions: what the outpost signs for one application, and the application cannot.
//
// A shell around `jose`, which does the verifying. It leaves no choice open that an attacker could
// use: one algorithm, one issuer, one audience.

import {
  createLocalJWKSet,
  createRemoteJWKSet,
  errors,
  jwtVerify,
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyGetKey,
} from 'jose';

import { OptionsError } from './options.js';

/** How an assertion is signed. */
export type AssertionAlgorithm = 'ES256' | 'EdDSA';

/** How to recognise the assertions for an application. */
export interface AssertionVerifierOptions {
  /** The outpost for this application: `externalUrl` and the prefix, `https://wiki.example.com/akprox`. */
  readonly issuer: string;
  /** The application's name. */
  readonly audience: string;
  /** `assertion.algorithm` of the application. Without this `ES256`. */
  readonly algorithm?: AssertionAlgorithm | undefined;
  /** Where the outpost's public keys are. Without this `jwks.json` below `issuer`. */
  readonly jwksUrl?: string | undefined;
  /** The public keys themselves, in place of `jwksUrl`. */
  readonly jwks?: JSONWebKeySet | undefined;
  /** `assertion.header` of the application. Without this `X-Gatepost-Assertion`. */
  readonly header?: string | undefined;
  /** How far the outpost's clock may be ahead, in whole seconds up to 300. Without this 30. */
  readonly clockSkew?: number | undefined;
}

/** Who sends a request, as the outpost asserts it. */
export interface Assertion {
  readonly iss: string;
  /** The person's stable id at the provider `idp`. */
  readonly sub: string;
  readonly aud: string;
  readonly iat: number;
  readonly exp: number;
  /** The OpenID provider, whose `sub` it is. */
  readonly idp: string;
  readonly preferred_username?: string;
  readonly name?: string;
  readonly email?: string;
  readonly email_verified?: boolean;
  /** The groups that the person is in; not all of them where `grp_more` is true. */
  readonly groups: readonly string[];
  /** Whether groups were left out: one that is not listed may still be held. */
  readonly grp_more: boolean;
}

/**
 * Why there is no assertion. For logs and tests: do not tell the sender which.
 *
 * - `no-assertion`: the request has none.
 * - `malformed`: not the shape of one.
 * - `algorithm`: signed in another way than was asked for, or not at all.
 * - `forged`: the key that it names did not sign it.
 * - `unknown-key`: it names a key that the outpost does not have.
 * - `audience`, `issuer`: good elsewhere.
 * - `ended`, `not-yet`: its window has ended, or lies in the future: then clocks differ.
 * - `claims`: signed, but its claims are not those of an assertion.
 * - `keys-unavailable`: the outpost did not answer with keys. No user is signed in meanwhile.
 */
export type AssertionReason =
  | 'no-assertion'
  | 'malformed'
  | 'algorithm'
  | 'forged'
  | 'unknown-key'
  | 'audience'
  | 'issuer'
  | 'ended'
  | 'not-yet'
  | 'claims'
  | 'keys-unavailable';

/** What a request's assertion amounts to. */
export type AssertionVerdict =
  | { readonly ok: true; readonly assertion: Assertion }
  | { readonly ok: false; readonly reason: AssertionReason };

/** Headers as a Fetch `Request` has them, or as Node.js does. */
export type AssertionHeaders =
  | Pick<Headers, 'get'>
  | { readonly [name: string]: string | readonly string[] | undefined };

/** Verifies the assertions for one application. */
export interface AssertionVerifier {
  /** The application. */
  readonly audience: string;
  /** What an assertion amounts to. Never rejects. */
  verify(assertion: string | null | undefined): Promise<AssertionVerdict>;
  /** What the assertion of a request amounts to, by its headers. Never rejects. */
  fromHeaders(headers: AssertionHeaders): Promise<AssertionVerdict>;
}

const ALGORITHMS: readonly unknown[] = ['ES256', 'EdDSA'];

const KNOWN = ['issuer', 'audience', 'algorithm', 'jwksUrl', 'jwks', 'header', 'clockSkew'];

/** As for sessions: beyond that a clock is wrong, not askew. */
const MAX_CLOCK_SKEW_SECONDS = 300;

/** More than the outpost can put into a session. */
const MAX_LENGTH = 19_000;

/**
 * Makes a verifier. It asks for the keys with the first request, keeps them, and asks again for a key
 * that it does not know, every half minute at most.
 *
 * @throws {OptionsError} when an option cannot be used
 */
export function createAssertionVerifier(options: AssertionVerifierOptions): AssertionVerifier {
  for (const name of Object.keys(options)) {
    if (!KNOWN.includes(name)) {
      throw new OptionsError(`${name}: unknown option: expected ${KNOWN.join(', ')}`);
    }
  }
  const issuer = text('issuer', options.issuer);
  const audience = text('audience', options.audience);
  const header = text('header', options.header ?? 'X-Gatepost-Assertion').toLowerCase();
  const { algorithm = 'ES256', clockSkew = 30 } = options;
  if (!ALGORITHMS.includes(algorithm)) {
    // With others, a public key may be taken for a secret.
    throw new OptionsError('algorithm: expected ES256 or EdDSA');
  }
  if (!Number.isInteger(clockSkew) || clockSkew < 0 || clockSkew > MAX_CLOCK_SKEW_SECONDS) {
    throw new OptionsError(
      `clockSkew: expected a whole number of seconds from 0 to ${MAX_CLOCK_SKEW_SECONDS}`,
    );
  }
  const keys = keysOf(options, issuer);
  const expected = {
    issuer,
    audience,
    algorithms: [algorithm],
    requiredClaims: ['iss', 'sub', 'aud', 'iat', 'exp', 'idp'],
  };

  async function verify(assertion: unknown): Promise<AssertionVerdict> {
    if (assertion === undefined || assertion === null || assertion === '') {
      return { ok: false, reason: 'no-assertion' };
    }
    if (typeof assertion !== 'string' || assertion.length > MAX_LENGTH) {
      return { ok: false, reason: 'malformed' };
    }
    try {
      const { payload } = await jwtVerify(assertion, keys, expected);
      return verdict(payload, Date.now() / 1000 + clockSkew);
    } catch (problem) {
      return { ok: false, reason: reasonOf(problem) };
    }
  }

  return {
    audience,
    verify,
    fromHeaders(headers) {
      const get = (headers as Pick<Headers, 'get'>).get;
      return verify(
        typeof get === 'function'
          ? get.call(headers, header)
          : (headers as { readonly [name: string]: unknown })[header],
      );
    },
  };
}

function keysOf({ jwks, jwksUrl }: AssertionVerifierOptions, issuer: string): JWTVerifyGetKey {
  if (jwks !== undefined && jwksUrl !== undefined) {
    throw new OptionsError('jwks: cannot be combined with jwksUrl');
  }
  try {
    return jwks === undefined
      ? createRemoteJWKSet(new URL(jwksUrl ?? `${issuer}/jwks.json`))
      : createLocalJWKSet(jwks);
  } catch {
    const name = jwks !== undefined ? 'jwks' : jwksUrl !== undefined ? 'jwksUrl' : 'issuer';
    throw new OptionsError(`${name}: expected ${jwks === undefined ? 'a URL' : 'a set of keys'}`);
  }
}

function text(name: string, value: unknown): string {
  if (typeof value !== 'string' || value === '') {
    throw new OptionsError(`${name}: expected text`);
  }
  return value;
}

/** Checks what `jose` does not: that claims have the types of an assertion's. */
function verdict(payload: JWTPayload, latest: number): AssertionVerdict {
  const { iss, sub, aud, iat, exp } = payload;
  const { idp, groups = [], grp_more = false } = payload as Record<string, unknown>;
  const isList = Array.isArray(groups) && groups.every((group) => typeof group === 'string');
  const texts = ['preferred_username', 'name', 'email'].map((name) => payload[name]);
  const flags = [payload['email_verified'], grp_more];
  if (
    !isText(iss) ||
    !isText(sub) ||
    !isText(aud) ||
    !isText(idp) ||
    iat === undefined ||
    exp === undefined ||
    !isList ||
    !texts.every((value) => value === undefined || typeof value === 'string') ||
    !flags.every((value) => value === undefined || typeof value === 'boolean')
  ) {
    return { ok: false, reason: 'claims' };
  }
  if (iat > latest) {
    return { ok: false, reason: 'not-yet' };
  }
  const assertion = { ...payload, iss, sub, aud, iat, exp, idp, groups, grp_more };
  return { ok: true, assertion: assertion as Assertion };
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function reasonOf(problem: unknown): AssertionReason {
  if (problem instanceof errors.JWTExpired) {
    return 'ended';
  }
  if (problem instanceof errors.JWTClaimValidationFailed) {
    return problem.claim === 'aud' ? 'audience' : problem.claim === 'iss' ? 'issuer' : 'claims';
  }
  if (problem instanceof errors.JOSEAlgNotAllowed || problem instanceof errors.JOSENotSupported) {
    return 'algorithm';
  }
  if (problem instanceof errors.JWKSNoMatchingKey) {
    return 'unknown-key';
  }
  if (problem instanceof errors.JWSSignatureVerificationFailed) {
    return 'forged';
  }
  if (problem instanceof errors.JWSInvalid || problem instanceof errors.JWTInvalid) {
    return 'malformed';
  }
  return 'keys-unavailable';
}
