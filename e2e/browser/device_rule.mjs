// A rule that asks for a session that is bound to a device: a browser that can is let in as soon as
// it has bound its session, and one that cannot gets a page that says which browsers can.

import assert from 'node:assert/strict';
import { until } from './devices.mjs';
import { arriveAt, inAnotherBrowser, scenario, signIn } from './scenario.mjs';
import { ask, listen } from './trusted_front.mjs';

const { front } = JSON.parse(process.env.GATEPOST_SCENARIO).device;

await listen(front);

await scenario(async ({ page, app, alice }) => {
  const deepLink = app('/reports/2026?quarter=3');
  const poll = (page) => page.evaluate(() => fetch('/poll').then(({ status }) => status));

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
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const response = await other.page.goto(app(`/again?${attempt}`));
      assert.equal(response.status(), 403);
      assert.match(await other.page.textContent('main'), /Chrome on Windows/);
    }
  });
});
