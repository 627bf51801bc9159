// Over TLS: the cookie has the name that only this host can set, HTTP/2 carries it, and the name
// that serves over plain http is not read.

import assert from 'node:assert/strict';
import { arriveAt, scenario } from './scenario.mjs';

await scenario(async ({ newContext, app, alice }) => {
  const context = await newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const deepLink = app('/reports/2026?quarter=3');
  const seen = await arriveAt(page, deepLink, alice);
  assert.ok(!String(seen.headers.cookie ?? '').includes('__Host-gatepost='), 'the app sees it');

  const protocol = await page.evaluate(
    () => performance.getEntriesByType('navigation')[0].nextHopProtocol,
  );
  assert.equal(protocol, 'h2');

  const cookies = await context.cookies(deepLink);
  const session = cookies.find(({ name }) => name === '__Host-gatepost');
  assert.ok(session, `no session cookie among ${cookies.map(({ name }) => name)}`);
  assert.equal(session.secure, true);
  assert.equal(session.path, '/');
  assert.equal(session.domain, 'app.localhost', 'not for this host alone');
  assert.deepEqual(
    cookies.filter(({ name }) => name.includes('gatepost-flow')),
    [],
    'the flow has left something behind',
  );

  const stops = [];
  page.on('response', (response) => stops.push(response.status()));
  await page.goto(app('/next'));
  assert.equal(stops[0], 200, 'the second page took more than one request');

  // What a neighbour without a certificate for this host could have planted.
  await context.clearCookies();
  await context.addCookies([{ name: 'gatepost', value: session.value, url: deepLink }]);
  await page.goto(app('/next'));
  assert.notEqual(new URL(page.url()).host, new URL(deepLink).host, 'the plain name was read');
});
