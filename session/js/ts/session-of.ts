import type { Session } from './session.js';

/**
 * The session that an adapter has put into a request.
 *
 * @throws when the session is missing: the route is not behind the adapter, or lets every client pass
 */
export function sessionOf(request: { readonly gatepost?: Session | null }): Session {
  if (!request.gatepost) {
    throw new Error('no session: this route is not behind what requires one');
  }
  return request.gatepost;
}
