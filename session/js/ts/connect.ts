// For Express, Connect and everything that takes their middleware.

import { REFUSAL_BODY, REFUSAL_STATUS, refusalHeaders } from './refusal.js';
import type { Session } from './session.js';
import type { Verifier } from './verifier.js';

export { sessionOf } from './session-of.js';

declare global {
  // Where Express looks for what middleware adds to its requests.
  namespace Express {
    interface Request {
      /** Who is signed in. Always there behind `requireSession`; see `sessionOf`. */
      gatepost?: Session;
    }
  }
}

/** As much of a request as is looked at. */
export interface IncomingRequest {
  readonly headers: { readonly cookie?: string | undefined };
  gatepost?: Session;
}

/** As much of a response as is needed to refuse. */
export interface OutgoingResponse {
  statusCode: number;
  setHeader(name: string, value: string): unknown;
  end(body: string): unknown;
}

export type Middleware = (
  request: IncomingRequest,
  response: OutgoingResponse,
  next: () => void,
) => void;

/** Puts the session into `request.gatepost`; answers 401 to requests without one. */
export function requireSession(verifier: Verifier): Middleware {
  return (request, response, next) => {
    if (identify(verifier, request)) {
      next();
      return;
    }
    response.statusCode = REFUSAL_STATUS;
    for (const [name, value] of refusalHeaders(verifier)) {
      response.setHeader(name, value);
    }
    response.end(REFUSAL_BODY);
  };
}

/** Puts the session into `request.gatepost` where there is one, and lets all requests pass. */
export function readSession(verifier: Verifier): Middleware {
  return (request, _response, next) => {
    identify(verifier, request);
    next();
  };
}

function identify(verifier: Verifier, request: IncomingRequest): boolean {
  // Also takes away what something before has left there.
  delete request.gatepost;
  const verdict = verifier.fromCookieHeader(request.headers.cookie);
  if (verdict.ok) {
    request.gatepost = verdict.session;
  }
  return verdict.ok;
}
