// A rule that asks for a session that is bound to a device: a browser that can is let in as soon as
// it has bound its session, and one that cannot gets a page that says which browsers can.

import assert from 'node:assert/strict';
import { isRefused, poll } from './devices.mjs';
import { arriveAt, inAnotherBrowser, scenario, signIn, until } from './scenario.mjs';
import { ask, listen } from './trusted_front.mjs';

const { front } = JSON.parse(process.env.GATEPOST_SCENARIO).device;

await listen(front);

await scenario(async ({ page, app, alice }) => {
  const deepLink = app('/reports/2026?quarter=3');

  // By itself, in whichever time the browser takes.
  await arriveAt(page, deepLink, alice);
  assert.equal(await poll(page), 200);
  const response = await page.goto(app('/later'));
  assert.equal(response.status(), 200);

  await inAnotherBrowser(async (other) => {
    await other.page.goto(deepLink);
    await signIn(other.page, alice);
    // It is asked for some seconds, and then refused.
    await until('the page that refuses', async () => {
      const text = await other.page.textContent('main').catch(() => undefined);
      return text?.includes('Chrome on Windows');
    }, 40_000);
    assert.equal(new URL(other.page.url()).pathname, '/akprox/start');
    // The page itself allows no scripts.
    const cookies = await other.context.cookies(deepLink);
    const Cookie = cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
    const script = await ask(front, app('/poll'), { Cookie, 'Sec-Fetch-Mode': 'cors' });
    assert.equal(script.status, 403, 'a script');
    await isRefused(other.page, app);
  });
});
