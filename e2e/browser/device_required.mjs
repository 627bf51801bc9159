// An application that requires sessions to be bound to a device: a browser that cannot is served for
// one window, and then gets a page that says which browsers can. A browser that can goes on.

import assert from 'node:assert/strict';
import { createHmac, hkdfSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDevice, isRefused, isSession, jump, poll, untilBound } from './devices.mjs';
import { arriveAt, inAnotherBrowser, scenario } from './scenario.mjs';
import { listen } from './trusted_front.mjs';

const { front, keys, windowSeconds, decidedBy, cookieDomain } = JSON.parse(
  process.env.GATEPOST_SCENARIO,
).device;

/** The outpost's clock is put back so far that this is left of a window by all other clocks. */
const LEFT_SECONDS = 10;

await listen(front);

await scenario(async ({ page, context, app, alice }) => {
  const deepLink = app('/reports/2026?quarter=3');

  /** Makes the browser with a device renew: as if the cookie that it watches had ended. */
  const forgetDevice = async () => {
    const { name, domain } = (await context.cookies(deepLink)).find(isDevice);
    const where = cookieDomain ? { domain } : { url: deepLink };
    const devtools = await context.newCDPSession(page);
    await devtools.send('Network.deleteCookies', { name, ...where });
  };

  await jump(0);
  await arriveAt(page, deepLink, alice);
  await untilBound(page);

  // It does not register: it cannot, or an attacker on the path has removed the header.
  await inAnotherBrowser(async (other) => {
    await arriveAt(other.page, deepLink, alice);
    assert.equal(await poll(other.page), 200, 'the first window is open');
    assert.equal(await poll(page), 200);
    if (decidedBy === 'proxy') {
      // Nothing makes the proxy's clock run faster, so the window is one that began earlier.
      const all = await other.context.cookies(deepLink);
      const session = all.find(isSession);
      await other.context.addCookies([{ ...session, value: ofAnEndedWindow(session.value) }]);
    } else {
      await jump(windowSeconds + 2);
    }

    assert.equal(await poll(other.page), 401, 'a script after the window');
    await isRefused(other.page, app);
    assert.ok(!(await other.context.cookies(deepLink)).some(isDevice), 'bound');
    // The way out begins another session.
    await other.page.click('a.action');
    await other.page.waitForLoadState();
    await other.page.goto(deepLink);
    await other.page.waitForSelector('#seen, input[name=login]');
  });

  // The other is in a later window than its first.
  if (decidedBy === 'proxy') {
    await jump(LEFT_SECONDS - windowSeconds);
    await forgetDevice();
    assert.equal(await poll(page), 200);
    await sleep((LEFT_SECONDS + 2) * 1000);
    await jump(0);
  }
  // The cookie that it watches has ended, if not by the browser's clock.
  await forgetDevice();
  const response = await page.goto(app('/later'));
  assert.equal(response.status(), 200);
  assert.equal(new URL(page.url()).pathname, '/later');
  assert.equal(await poll(page), 200);
});

/** Returns the same cookie as it is signed for a window that has ended. */
function ofAnEndedWindow(token) {
  const [header, claims] = token.split('.');
  const [, secret] = readFileSync(keys, 'utf8').trim().split(':');
  const seconds = Math.floor(Date.now() / 1000) - 1;
  const { iat, ...others } = JSON.parse(Buffer.from(claims, 'base64url'));
  const ended = { ...others, iat: iat - windowSeconds, exp: seconds, rnw: seconds };
  const signed = `${header}.${Buffer.from(JSON.stringify(ended)).toString('base64url')}`;
  const key = hkdfSync('sha256', Buffer.from(secret, 'base64'), '', 'gatepost session v1', 32);
  return `${signed}.${createHmac('sha256', Buffer.from(key)).update(signed).digest('base64url')}`;
}
