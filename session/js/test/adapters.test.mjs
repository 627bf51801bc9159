// The adapters in real servers: who has a session is named, who has none is answered 401.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';

import express from 'express';
import fastify from 'fastify';

import { readSession, requireSession, sessionOf } from '@gatepost/session/connect';
import { gatepost } from '@gatepost/session/fastify';
import { fromRequest, withSession } from '@gatepost/session/fetch';

import { named, wikiThen } from './world.mjs';

const LOOPBACK = { host: '127.0.0.1', port: 0 };

/** Starts a server on a free port and returns its address. */
function listening(server) {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(LOOPBACK, () => resolve(`http://127.0.0.1:${server.address().port}`));
  });
}

function withExpress() {
  const verifier = wikiThen();
  const app = express();
  app.get('/optional', readSession(verifier), (request, response) => {
    response.json({ sub: request.gatepost?.sub ?? null });
  });
  app.use(requireSession(verifier));
  app.get('/', (request, response) => {
    response.json({ sub: sessionOf(request).sub });
  });
  const server = createServer(app);
  return { start: () => listening(server), stop: () => server.close() };
}

function withNothing() {
  const middleware = { '/': requireSession(wikiThen()), '/optional': readSession(wikiThen()) };
  const server = createServer((request, response) => {
    request.gatepost = { sub: 'left there by something before' };
    middleware[request.url](request, response, () => {
      response.end(JSON.stringify({ sub: request.gatepost?.sub ?? null }));
    });
  });
  return { start: () => listening(server), stop: () => server.close() };
}

function withFastify() {
  const app = fastify();
  app.register(gatepost, { verifier: wikiThen() });
  app.get('/', async (request) => ({ sub: sessionOf(request).sub }));
  app.get('/optional', { config: { gatepost: 'optional' } }, async (request) => ({
    sub: request.gatepost?.sub ?? null,
  }));
  return { start: () => app.listen(LOOPBACK), stop: () => app.close() };
}

/** A Fetch handler behind the smallest server that there is. */
function withFetch() {
  const verifier = wikiThen();
  const required = withSession(verifier, (_request, session, extra) =>
    Response.json({ sub: session.sub, extra }),
  );
  const optional = (request) => {
    const verdict = fromRequest(verifier, request);
    return Response.json({ sub: verdict.ok ? verdict.session.sub : null });
  };
  const server = createServer(async (incoming, outgoing) => {
    const { cookie } = incoming.headers;
    const request = new Request(`http://app.example${incoming.url}`, {
      headers: cookie === undefined ? {} : { cookie },
    });
    const response = await (incoming.url === '/' ? required(request, 'passed on') : optional(request));
    outgoing.writeHead(response.status, Object.fromEntries(response.headers));
    outgoing.end(await response.text());
  });
  return { start: () => listening(server), stop: () => server.close() };
}

const servers = [
  ['Express', withExpress, 'routes'],
  ['middleware without a framework', withNothing],
  ['Fastify', withFastify, 'routes'],
  ['Fetch', withFetch],
];

for (const [name, make, routes] of servers) {
  describe(name, () => {
    const server = make();
    let origin;
    before(async () => {
      origin = await server.start();
    });
    after(() => server.stop());

    const ask = (path, cookies = []) =>
      fetch(origin + path, { headers: cookies.map((cookie) => ['cookie', cookie]) });

    test('a session is named', async () => {
      for (const path of ['/', '/optional']) {
        for (const name of ['valid', 'valid, three chunks', 'valid, on a second line']) {
          const response = await ask(path, named(name).cookies);
          assert.equal(response.status, 200, name);
          assert.equal((await response.json()).sub, '248289761001', name);
        }
      }
    });

    test('no session, or one that does not hold, is refused alike', async () => {
      const bodies = new Set();
      for (const name of ['no cookie', 'not yet, nbf', 'other secret', 'exp is missing']) {
        const response = await ask('/', named(name).cookies);
        assert.equal(response.status, 401);
        assert.equal(response.headers.get('www-authenticate'), 'Gatepost realm="wiki"');
        assert.match(response.headers.get('content-type'), /^application\/json/);
        assert.equal(response.headers.get('cache-control'), 'no-store');
        bodies.add(await response.text());
      }
      assert.equal(bodies.size, 1, 'gives the reason');
      assert.equal(JSON.parse([...bodies][0]).error, 'unauthenticated');
    });

    if (routes) test('a missing page is refused too, unless the session is good', async () => {
      assert.equal((await ask('/nothing-here')).status, 401);
      assert.equal((await ask('/nothing-here', named('valid').cookies)).status, 404);
    });

    test('an optional route passes without a session', async () => {
      for (const name of ['no cookie', 'other secret']) {
        const response = await ask('/optional', named(name).cookies);
        assert.equal(response.status, 200);
        assert.equal((await response.json()).sub, null);
      }
    });
  });
}

test('a route that is not behind the adapter has no session, not an empty one', () => {
  for (const request of [{}, { gatepost: undefined }, { gatepost: null }]) {
    assert.throws(() => sessionOf(request), /not behind what requires one/);
  }
});
