// An application in a frame of another site: whether its user is signed in there, by the cookies that
// the outpost sets and by those that the browser takes from third parties.

import assert from 'node:assert/strict';
import { arriveAt, inAProfile, scenario, signIn, until } from './scenario.mjs';

await scenario(({ app, alice, frames }) =>
  inAProfile(
    // Off, or for every window. Some builds of Chromium block by default.
    { profile: { cookie_controls_mode: frames.thirdParties === 'blocked' ? 1 : 0 } },
    { ignoreHTTPSErrors: true },
    (context) => show(context, app, alice, frames),
  ),
);

async function show(context, app, alice, frames) {
  const host = new URL(app('/')).host;

  /** Returns the page of a site that shows the application in a frame, and how it answered first. */
  const portal = async (site, path) => {
    const top = `https://${site}.test/`;
    await context.route(top, (route) =>
      route.fulfill({
        contentType: 'text/html',
        body: `<!doctype html><title>${site}</title><iframe name="app" src="${app(path)}"></iframe>`,
      }),
    );
    const page = await context.newPage();
    const statuses = [];
    page.on('response', (response) => {
      console.log(response.status(), response.url().replace(/\?.*/, '?…'));
      if (new URL(response.url()).host === host) statuses.push(response.status());
    });
    await page.goto(top);
    await until('the application to answer in the frame', () => statuses.length > 0);
    return { page, first: statuses[0], frame: () => page.frame({ name: 'app' }) };
  };

  const own = async () => {
    const cookies = await context.cookies(app('/'));
    return cookies.filter(({ name }) => name.startsWith('__Host-gatepost'));
  };

  if (frames.cookies === 'partitioned') {
    // The provider's form is in the frame too.
    const first = await portal('portal', '/in-a-frame');
    assert.equal(first.first, 302, 'no user is signed in yet');
    await until('the form', async () => (await first.frame()?.$('input[name=login]')) !== null);
    await signIn(first.frame(), alice);
    await first.frame().waitForSelector('#seen');
    const seen = JSON.parse(await first.frame().locator('#seen').textContent());
    assert.deepEqual(seen.headers['x-auth-username'], ['alice']);
    assert.ok(!String(seen.headers.cookie ?? '').includes('gatepost'), 'the app sees it');
    const again = await portal('portal', '/again');
    assert.equal(again.first, 200, 'not signed in in the next frame of the site');
    const elsewhere = await portal('another', '/elsewhere');
    assert.equal(elsewhere.first, 302, "another site's frame has the session");
    const isOfTheFirst = ({ name }) => name === '__Host-gatepost';
    assert.equal((await own()).filter(isOfTheFirst).length, 1, 'one session, of one site');
    await signOut(again.frame(), app);
    await until('the cookie to be removed', async () => !(await own()).some(isOfTheFirst));
    const after = await portal('portal', '/after');
    assert.equal(after.first, 302, 'still signed in');
    return;
  }

  // Users sign in in a tab of their own.
  const tab = await context.newPage();
  await arriveAt(tab, app('/in-a-tab'), alice);
  const inFrame = await portal('portal', '/in-a-frame');
  const expected = frames.cookies === 'none' && frames.thirdParties === 'allowed' ? 200 : 302;
  assert.equal(inFrame.first, expected, 'signed in in the frame, or not');
  if (expected === 302) return;
  const seen = JSON.parse(await inFrame.frame().locator('#seen').textContent());
  assert.deepEqual(seen.headers['x-auth-username'], ['alice']);
  await signOut(inFrame.frame(), app);
  await until('the cookie to be removed', async () => !(await own()).some(({ name }) => name === '__Host-gatepost'));
  const after = await portal('portal', '/after');
  assert.equal(after.first, 302, 'still signed in');
}

/** Follows the application's link to sign out, within its frame. */
async function signOut(frame, app) {
  await frame.evaluate((target) => {
    const link = document.createElement('a');
    link.href = target;
    document.body.append(link);
    link.click();
  }, app('/akprox/sign_out'));
}
