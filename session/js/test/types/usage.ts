// Never run: what has to compile, and what must not.

import express from 'express';
import fastify from 'fastify';

import { createVerifier, type Reason, type Session, type Verdict } from '@gatepost/session';
import { createAssertionVerifier } from '@gatepost/session/assertion';
import { readSession, requireSession, sessionOf } from '@gatepost/session/connect';
import { gatepost } from '@gatepost/session/fastify';
import { fromRequest, withSession } from '@gatepost/session/fetch';
import { createFileVerifier } from '@gatepost/session/node';

const verifier = createVerifier({
  keys: ['2026a:4jcXv1Wm…'],
  audience: 'wiki',
  issuer: process.env['ISSUER'],
});
createVerifier({ keys: 'text of a file', audience: 'wiki', cookieName: 'gatepost', clockSkew: 5 });
createFileVerifier({ keysFile: '/etc/gatepost/keys/gatepost.keys', audience: 'wiki' });

createVerifier({ keys: ['2026a:4jcXv1Wm…'], audience: 'wiki', publishedKeys: true });

// @ts-expect-error an audience is needed
createVerifier({ keys: '' });
// @ts-expect-error misspelt
createVerifier({ keys: '', audience: 'wiki', cookiename: 'gatepost' });
// @ts-expect-error keys come from the file
createFileVerifier({ keysFile: '/keys', keys: '', audience: 'wiki' });
// @ts-expect-error a key may be undefined
createVerifier({ keys: process.env['KEYS'], audience: 'wiki' });

const assertions = createAssertionVerifier({
  issuer: 'https://wiki.example.com/akprox',
  audience: 'wiki',
  algorithm: 'EdDSA',
});
// @ts-expect-error an algorithm with a secret
createAssertionVerifier({ issuer: 'https://wiki.example.com', audience: 'wiki', algorithm: 'HS256' });
const asserted = await assertions.fromHeaders(new Headers());
// @ts-expect-error not before `ok` was looked at
asserted.assertion;
if (asserted.ok) asserted.assertion.groups.includes('staff');

const verdict: Verdict = verifier.fromCookieHeader('a=b', new Date());
verifier.fromCookieHeader(undefined);
verifier.fromCookieHeader(['a=b', 'c=d'], 1_800_000_000);
// @ts-expect-error a header, not headers
verifier.fromCookieHeader({ cookie: 'a=b' });

// @ts-expect-error not before `ok` was looked at
verdict.session;
if (verdict.ok) {
  const session: Session = verdict.session;
  session.groups.includes('staff');
  session.ext['department']?.toUpperCase();
  // @ts-expect-error a provider may give no address
  session.email.toLowerCase();
  // @ts-expect-error nothing to change
  session.groups.push('admins');
  // @ts-expect-error no such claim
  session.role;
} else {
  const reason: Reason = verdict.reason;
  // @ts-expect-error no such reason
  if (reason === 'expired') throw new Error();
}

const app = express();
app.get('/optional', readSession(verifier), (request, response) => {
  response.send(request.gatepost?.sub);
});
app.use(requireSession(verifier));
app.get('/', (request, response) => {
  // @ts-expect-error there may be none
  response.send(request.gatepost.sub);
  response.send(sessionOf(request).sub);
});

const server = fastify();
await server.register(gatepost, { verifier });
// @ts-expect-error a verifier is needed
await server.register(gatepost, {});
server.get('/', { config: { gatepost: 'optional' } }, (request) => request.gatepost?.name);

const handler: (request: Request) => Promise<Response> = withSession(
  verifier,
  (_request, session) => new Response(session.name),
);
export default {
  fetch: withSession(verifier, (_request, session, env: { GREETING: string }) =>
    Response.json([env.GREETING, session.name]),
  ),
};
fromRequest(verifier, new Request('https://wiki.example.com/'));
export { handler };
