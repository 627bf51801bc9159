// A page whose session is gone asks for data: its script gets a 401 that it can read, with the
// address to sign in at, and not a redirect to another origin that it cannot follow.

import assert from 'node:assert/strict';
import { scenario, signIn } from './scenario.mjs';

await scenario(async ({ page, context, app, alice }) => {
  await page.goto(app('/'));
  await signIn(page, alice);
  await page.waitForSelector('#seen');

  const fetchData = () =>
    page.evaluate(async () => {
      const answer = await fetch('/api/data', { headers: { Accept: 'application/json' } });
      return {
        status: answer.status,
        redirected: answer.redirected,
        type: answer.headers.get('Content-Type'),
        body: await answer.json(),
      };
    });

  const before = await fetchData();
  assert.equal(before.status, 200);
  assert.equal(before.body.uri, '/api/data');

  await context.clearCookies({ name: 'gatepost' });
  const after = await fetchData();
  assert.equal(after.status, 401);
  assert.equal(after.redirected, false);
  assert.match(after.type, /^application\/json/);
  const signInAddress = Object.values(after.body).find((value) => /\/start\b/.test(value));
  assert.ok(signInAddress, `no address to sign in at in ${JSON.stringify(after.body)}`);
});
