// Every page comes back after the sign-in as the address bar had it: all tabs of a browser that
// restores them at once, addresses that must not be decoded, long ones, and fragments as far as
// browsers keep them.

import assert from 'node:assert/strict';
import { scenario, seenByApp, signIn } from './scenario.mjs';

await scenario(async ({ page, context, newContext, app, alice }) => {
  // Each tab is at the provider before any is back.
  const targets = Array.from({ length: 12 }, (_, tab) => app(`/tab/${tab}?of=12&${'x'.repeat(80)}`));
  const tabs = await Promise.all(
    targets.map(async (target) => {
      const tab = await context.newPage();
      await tab.goto(target);
      return tab;
    }),
  );
  for (const [number, tab] of tabs.entries()) {
    assert.notEqual(new URL(tab.url()).host, new URL(targets[number]).host, 'not at the provider');
    await signIn(tab, alice);
    await tab.waitForSelector('#seen');
    assert.equal(tab.url(), targets[number]);
    await tab.close();
  }

  const long = `/board?state=${'a%2Fb~'.repeat(1_362)}`;
  for (const target of ['/a%20b', '/a&b', '/R%26D/x', '/%25done', "/it's?a=it's", '/x?y=a\\b', long]) {
    const own = await newContext();
    const tab = await own.newPage();
    await tab.goto(app(target));
    await signIn(tab, alice);
    await tab.waitForSelector('#seen');
    const seen = await seenByApp(tab);
    // A browser sends a backslash and an apostrophe in a query in another spelling of the same.
    const expected = target.replace('\\', '%5C').replace("?a=it's", '?a=it%27s');
    assert.equal(seen.uri.replace('\\', '%5C'), expected);
    await own.close();
  }

  // A fragment is not sent to any server. The browser takes it along over redirects, and loses it
  // where the user fills in a form at the provider.
  const fragment = app('/page#part');
  const own = await newContext();
  const tab = await own.newPage();
  await tab.goto(fragment);
  await signIn(tab, alice);
  await tab.waitForSelector('#seen');
  assert.equal(tab.url(), app('/page'), 'the form keeps the fragment');
  await own.clearCookies({ domain: 'app.localhost' });
  const other = await own.newPage();
  await other.goto(fragment);
  await other.waitForSelector('#seen');
  assert.equal(other.url(), fragment, 'redirects lose the fragment');
});
