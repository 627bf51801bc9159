// What a session says, and what can stand in its place.

/** Who is signed in: the claims of a session cookie, as `docs/cookie-format.md` has them. */
export interface Session {
  /** The OpenID provider that signed the person in, exactly as it names itself. */
  readonly iss: string;
  /** The person's stable id at that provider. With `iss`, the key to store things under. */
  readonly sub: string;
  /** The application that the session is for. */
  readonly aud: string;
  /** The id of the session in the outpost's store. */
  readonly sid: string;
  /** When the cookie was made, in Unix seconds like every time here. */
  readonly iat: number;
  /** When the cookie stops counting. Not the end of the session: Gatepost renews it before. */
  readonly exp: number;
  /** From when Gatepost renews the cookie at the next page load. */
  readonly rnw: number;
  readonly nbf?: number;
  /** The name that the person signs in with. May change; `sub` does not. */
  readonly preferred_username?: string;
  /** The person's full name. */
  readonly name?: string;
  readonly email?: string;
  /** Whether the provider has verified the address; absent where it does not say. */
  readonly email_verified?: boolean;
  /** The groups that the person is in; not all of them where `grp_more` is true. */
  readonly groups: readonly string[];
  /** Whether groups were left out to keep the cookie small: one not listed may still be held. */
  readonly grp_more: boolean;
  /** How the person was authenticated: the context class. */
  readonly acr?: string;
  /** How the person was authenticated: the methods. */
  readonly amr: readonly string[];
  /** When the person last authenticated at the provider. */
  readonly auth_time?: number;
  /** Whether the session is bound to a device: it is renewed with a proof of the browser alone. */
  readonly bound: boolean;
  /** Further claims that the application's header rules name. */
  readonly ext: { readonly [claim: string]: string | undefined };
}

/**
 * Why there is no session. For logs and tests: do not tell the sender of the request which.
 *
 * - `no-cookie`: none by that name.
 * - `too-long`, `malformed`: not the shape of a session cookie.
 * - `forged`: no key of the ring signed it. After a rotation: a key is missing here.
 * - `claims`: signed, but its claims cannot be read.
 * - `audience`: signed, but for another application.
 * - `issuer`: signed, but of another provider than the one asked for.
 * - `ended`: its window has ended.
 * - `not-yet`: made in the future, so the clocks differ.
 * - `wrong-type`: what was passed is no header or no time. A mistake of the caller.
 */
export type Reason =
  | 'no-cookie'
  | 'too-long'
  | 'malformed'
  | 'forged'
  | 'claims'
  | 'audience'
  | 'issuer'
  | 'ended'
  | 'not-yet'
  | 'wrong-type';

/** A session in force. */
export interface Accepted {
  readonly ok: true;
  readonly session: Session;
  /** Whether Gatepost would renew the cookie at a page load now. Nothing for the app to do. */
  readonly renewalDue: boolean;
}

/** No session in force. */
export interface Refused {
  readonly ok: false;
  readonly reason: Reason;
}

/** What the cookies of a request amount to. */
export type Verdict = Accepted | Refused;
