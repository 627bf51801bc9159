// For Fastify 5.

import type { FastifyPluginCallback } from 'fastify';

import { REFUSAL_BODY, REFUSAL_STATUS, refusalHeaders } from './refusal.js';
import type { Session } from './session.js';
import type { Verifier } from './verifier.js';

export { sessionOf } from './session-of.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is signed in. Null only on routes that are optional; see `sessionOf`. */
    gatepost: Session | null;
  }
  interface FastifyContextConfig {
    /** `optional` lets requests without a session pass to this route. */
    gatepost?: 'required' | 'optional';
  }
}

export interface GatepostFastifyOptions {
  readonly verifier: Verifier;
}

/**
 * Puts the session into `request.gatepost`; answers 401 to requests without one, on every route
 * that does not say `config: { gatepost: 'optional' }`.
 */
export const gatepost: FastifyPluginCallback<GatepostFastifyOptions> = (app, options, done) => {
  const { verifier } = options;
  app.decorateRequest('gatepost', null);
  app.addHook('onRequest', (request, reply, next) => {
    const verdict = verifier.fromCookieHeader(request.headers.cookie);
    if (verdict.ok) {
      request.gatepost = verdict.session;
    } else if (request.routeOptions.config.gatepost !== 'optional') {
      reply
        .code(REFUSAL_STATUS)
        .headers(Object.fromEntries(refusalHeaders(verifier)))
        .send(REFUSAL_BODY);
      return;
    }
    next();
  });
  done();
};

// What `fastify-plugin` does: the hook also holds for the routes of the plugin that registers this.
Object.assign(gatepost, { [Symbol.for('skip-override')]: true });

export default gatepost;
