// After signing out, the next page asks for a password again: here and at the provider.

import assert from 'node:assert/strict';
import { scenario, signIn } from './scenario.mjs';

await scenario(async ({ page, context, app, alice }) => {
  await page.goto(app('/'));
  await signIn(page, alice);
  await page.waitForSelector('#seen');

  await page.goto(app('/akprox/sign_out'));
  // Some steps ask for a confirmation: the outpost's own page, the provider's.
  for (let step = 0; step < 3; step += 1) {
    const confirm = page.locator('button[type=submit]').first();
    if (page.url() === app('/') || (await confirm.count()) === 0) break;
    await Promise.all([page.waitForNavigation(), confirm.click()]);
    if ((await page.locator('input[name=password]').count()) > 0) break;
  }
  const isSession = ({ name }) => name === 'gatepost' || name.startsWith('gatepost.');
  const left = (await context.cookies(app('/'))).filter(isSession);
  assert.deepEqual(left, [], 'a session cookie is left');

  await page.goto(app('/'));
  await page.waitForSelector('input[name=password]');
});
