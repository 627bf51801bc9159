// For handlers of the Fetch API's `Request`: Deno, Bun, workers, Hono, Next.js, …

import { REFUSAL_BODY, REFUSAL_STATUS, refusalHeaders } from './refusal.js';
import type { Session, Verdict } from './session.js';
import type { Verifier } from './verifier.js';

/** What the cookies of a request amount to. */
export function fromRequest(
  verifier: Verifier,
  request: { readonly headers: Pick<Headers, 'get'> },
  now?: Date | number,
): Verdict {
  return verifier.fromCookieHeader(request.headers.get('cookie'), now);
}

/**
 * Wraps a handler into one that answers 401 to requests without a session. Further arguments, as
 * workers get them, are passed on.
 */
export function withSession<Rest extends unknown[]>(
  verifier: Verifier,
  handler: (request: Request, session: Session, ...rest: Rest) => Response | Promise<Response>,
): (request: Request, ...rest: Rest) => Promise<Response> {
  return async (request, ...rest) => {
    const verdict = fromRequest(verifier, request);
    return verdict.ok ? handler(request, verdict.session, ...rest) : refusal(verifier);
  };
}

function refusal(verifier: Verifier): Response {
  return new Response(REFUSAL_BODY, { status: REFUSAL_STATUS, headers: refusalHeaders(verifier) });
}
