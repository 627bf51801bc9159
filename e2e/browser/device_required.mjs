// An application that requires sessions to be bound to a device: a browser that cannot is served for
// one window, and then gets a page that says which browsers can. A browser that can goes on.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { jump, until } from './devices.mjs';
import { arriveAt, inAnotherBrowser, scenario } from './scenario.mjs';
import { listen } from './trusted_front.mjs';

const { front, windowSeconds, decidedBy } = JSON.parse(process.env.GATEPOST_SCENARIO).device;

/** The outpost's clock is put back so far that this is left of a window by all other clocks. */
const LEFT_SECONDS = 20;

await listen(front);

await scenario(async ({ page, context, app, alice }) => {
  const deepLink = app('/reports/2026?quarter=3');
  const poll = (page) => page.evaluate(() => fetch('/poll').then(({ status }) => status));
  const device = async () =>
    (await context.cookies(deepLink)).find(({ name }) => name.includes('-device-'));

  /** Begins a window by the outpost's clock, and returns what waits for its end. */
  const beginWindow = async () => {
    const begun = Date.now();
    jump(decidedBy === 'proxy' ? LEFT_SECONDS - windowSeconds : 0);
    await sleep(500);
    return async () => {
      if (decidedBy === 'proxy') {
        await sleep(Math.max(0, begun + (LEFT_SECONDS + 2) * 1000 - Date.now()));
      }
      jump(decidedBy === 'proxy' ? 0 : windowSeconds + 2);
      await sleep(500);
    };
  };

  const windowEnds = await beginWindow();
  // It does not register: it cannot, or somebody on the path has taken the header away.
  await inAnotherBrowser(async (other) => {
    await arriveAt(other.page, deepLink, alice);
    assert.equal(await poll(other.page), 200, 'the first window is open');
    // The other does.
    await arriveAt(page, deepLink, alice);
    await until('the session is bound', async () => {
      await page.evaluate(() => fetch('/poll'));
      return device();
    });
    await windowEnds();

    assert.equal(await poll(other.page), 401, 'a script after the window');
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const response = await other.page.goto(app(`/again?${attempt}`));
      assert.equal(response.status(), 403, other.page.url());
      assert.match(await other.page.textContent('main'), /Chrome on Windows/);
    }
    const names = (await other.context.cookies(deepLink)).map(({ name }) => name);
    assert.ok(!names.some((name) => name.includes('-device-')), `bound: ${names}`);
    // The way out begins another session.
    await other.page.click('a.action');
    await other.page.waitForLoadState();
    await other.page.goto(deepLink);
    await other.page.waitForSelector('#seen, input[name=login]');
  });

  // The cookie that the browser watches has ended with its window, if not by the browser's clock.
  const { name } = await device();
  const devtools = await context.newCDPSession(page);
  await devtools.send('Network.deleteCookies', { name, url: deepLink });
  const response = await page.goto(app('/later'));
  assert.equal(response.status(), 200);
  assert.equal(new URL(page.url()).pathname, '/later');
  assert.equal(await poll(page), 200);
});
