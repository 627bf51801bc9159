// A user opens a deep link, signs in, and returns to it; the app learns who the user is, and the
// next page opens without a redirect.

import assert from 'node:assert/strict';
import { scenario, seenByApp, signIn } from './scenario.mjs';

await scenario(async ({ page, context, app, alice }) => {
  const deepLink = app('/reports/2026?quarter=3&sort=a%2Fb');
  await page.goto(deepLink);
  assert.notEqual(new URL(page.url()).host, new URL(deepLink).host, 'not led to the provider');

  await signIn(page, alice);
  await page.waitForSelector('#seen');
  assert.equal(page.url(), deepLink);
  const seen = await seenByApp(page);
  assert.equal(seen.uri, '/reports/2026?quarter=3&sort=a%2Fb');
  assert.deepEqual(seen.headers['x-auth-username'], ['alice']);
  assert.deepEqual(seen.headers['x-forwarded-email'], ['alice@example.com']);
  assert.deepEqual(seen.headers['x-auth-groups'], ['staff|admins']);

  const session = (await context.cookies(deepLink)).find(({ name }) => name === 'gatepost');
  assert.ok(session, 'no session cookie');
  assert.equal(session.httpOnly, true);
  assert.equal(session.sameSite, 'Lax');
  assert.equal(session.domain, 'app.localhost');
  assert.equal(await page.evaluate(() => document.cookie), '', 'a script can read a cookie');

  const stops = [];
  page.on('response', (response) => stops.push(response.url()));
  await page.goto(app('/next'));
  assert.deepEqual(
    stops.filter((url) => !url.endsWith('/favicon.ico')),
    [app('/next')],
    'the second page took more than one request',
  );
});
