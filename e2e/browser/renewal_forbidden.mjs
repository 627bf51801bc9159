// Pages whose policy allows no connection, so that the browser cannot renew beside them: it stays as
// it is until the last quarter of the window, in which a page load is redirected and renews.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { openTab } from './tab.mjs';

const { windowSeconds } = JSON.parse(process.env.GATEPOST_SCENARIO).beside;

/** How much of a window is left when page loads are redirected, with what a busy machine takes. */
const LATE_SECONDS = windowSeconds / 4 + 2;

const tab = await openTab();
try {
  await tab.signIn();
  let renewals = 0;
  let forbidden = 0;
  const begun = Date.now();
  for (let number = 0; renewals < 2; number += 1) {
    assert.ok(Date.now() - begun < 6 * windowSeconds * 1000, `${renewals} renewals`);
    const before = await tab.window();
    const asked = Date.now() / 1000;
    const redirects = await tab.load(`/upstream/unconnected/${number}`);
    // A renewal beside the page would have ended by then.
    await sleep(700);
    const after = await tab.window();
    if (redirects > 0) {
      const left = before.exp - Date.now() / 1000;
      assert.ok(left < LATE_SECONDS, `redirected with ${left} s of the window left`);
      assert.ok(after.exp > before.exp, 'a redirect has not renewed');
      renewals += 1;
    } else {
      assert.deepEqual(after, before, 'renewed beside the page');
      forbidden += asked > before.rnw ? 1 : 0;
    }
  }
  assert.ok(forbidden > 2, `${forbidden} page loads past the time of a renewal`);
  console.log(`${renewals} renewals, ${forbidden} page loads that could not renew`);
} finally {
  await tab.close();
}
