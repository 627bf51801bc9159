// A user who can sign in but is in none of the required groups gets a page that says so, and no
// redirect loop.

import assert from 'node:assert/strict';
import { scenario, signIn } from './scenario.mjs';

await scenario(async ({ page, app, bob }) => {
  await page.goto(app('/'));
  await signIn(page, bob);
  await page.waitForURL(app('/**'));
  // Without a session the browser goes to the provider, and is still refused without a form.
  const answer = await page.goto(app('/'));
  assert.equal(answer.status(), 403);
  assert.equal(new URL(page.url()).origin, new URL(app('/')).origin);
  assert.match(await page.locator('main').innerText(), /group:admins/);
  assert.equal(await page.locator('#seen').count(), 0, 'the app was reached');
});
