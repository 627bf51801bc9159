// How the adapters refuse: as the plugin does, so that an app's own scripts meet one form.

import type { Verifier } from './verifier.js';

export const REFUSAL_STATUS = 401;

export const REFUSAL_BODY = '{"error":"unauthenticated","message":"sign in first"}';

/** A scheme that no browser knows: a prompt for a password would lead nowhere. */
export function refusalHeaders(verifier: Verifier): [name: string, value: string][] {
  return [
    // A name has neither quotes nor backslashes.
    ['WWW-Authenticate', `Gatepost realm="${verifier.audience}"`],
    ['Content-Type', 'application/json'],
    ['Cache-Control', 'no-store'],
  ];
}
