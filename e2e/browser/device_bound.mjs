// A session that is bound to the browser's device: a tab stays alive over three windows without a
// page load and without one 401, and a copy of its cookie is worth nothing from the end of its
// window on. A browser that cannot bind its session is served as ever.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDevice, isSession, jump, poll, untilBound } from './devices.mjs';
import { arriveAt, inAnotherBrowser, scenario, until } from './scenario.mjs';
import { ask, listen } from './trusted_front.mjs';

const { front, windowSeconds, decidedBy, cookieDomain } = JSON.parse(
  process.env.GATEPOST_SCENARIO,
).device;

/** The outpost's clock is put back so far that this is left of a window by all other clocks. */
const LEFT_SECONDS = 25;

await listen(front);

await scenario(async ({ page, context, app, alice }) => {
  const deepLink = app('/reports/2026?quarter=3');
  const cookies = async () => context.cookies(deepLink);
  const cookie = async (end) => (await cookies()).find(({ name }) => name.endsWith(end));
  const session = async () => (await cookie('gatepost')) ?? (await cookie('gatepost.0'));
  const device = async () => (await cookies()).find(isDevice);

  // A browser without it, beside.
  await inAnotherBrowser(async (other) => {
    await arriveAt(other.page, deepLink, alice);
    await poll(other.page);
    assert.ok(!(await other.context.cookies(deepLink)).some(isDevice), 'bound');
    if (decidedBy === 'outpost') {
      const before = (await other.context.cookies(deepLink)).find(isSession).value;
      await jump(windowSeconds - 60);
      await other.page.goto(app('/again'));
      const after = (await other.context.cookies(deepLink)).find(isSession).value;
      assert.notEqual(after, before, 'not renewed as ever');
      assert.equal(await poll(other.page), 200);
    }
  });

  // It binds its session by itself.
  await arriveAt(page, deepLink, alice);
  await untilBound(page);
  const bound = claims((await session()).value);
  assert.equal(bound.bound, true);
  if (cookieDomain) {
    assert.equal((await device()).domain, `.${cookieDomain}`);
  }
  const view = await (await fetchInPage(page, '/akprox/session', cookieDomain)).json?.();
  assert.ok(view === undefined || view.deviceBound, 'the session page does not say so');

  const devtools = await context.newCDPSession(page);
  let loads = 0;
  page.on('framenavigated', () => (loads += 1));
  await page.evaluate(() => {
    globalThis.statuses = [];
    setInterval(async () => {
      const { status } = await fetch(`/poll?${Math.random()}`).catch(() => ({ status: 'failed' }));
      globalThis.statuses.push(status);
    }, 400);
  });

  // What a thief has, and when it ends.
  let stolen;
  const steal = async () => {
    const all = (await cookies()).filter(({ name }) => name.includes('gatepost'));
    const { value } = await session();
    stolen = { line: all.map(({ name, value }) => `${name}=${value}`).join('; '), value };
  };
  const asThief = (path, mode) =>
    ask(front, app(path), {
      Cookie: stolen.line,
      'Sec-Fetch-Mode': mode,
      Accept: mode === 'navigate' ? 'text/html' : 'application/json',
    });

  /** Makes the browser renew: as if the cookie that it watches had ended. */
  const renew = async () => {
    const before = (await session()).value;
    const { name, domain } = await device();
    const where = cookieDomain ? { domain } : { url: deepLink };
    // `clearCookies` would take all away for a moment.
    await devtools.send('Network.deleteCookies', { name, ...where });
    await until('the browser renews', async () => (await session()).value !== before);
    await until('the browser watches again', device);
  };

  if (decidedBy === 'proxy') {
    await jump(LEFT_SECONDS - windowSeconds);
    await renew();
    await steal();
    assert.equal((await asThief('/data', 'cors')).status, 200, 'a copy counts in its window');
    for (let round = 0; round < 3; round += 1) {
      await sleep(18_000);
      await renew();
    }
    await sleep(10_000);
  } else {
    await steal();
    assert.equal((await asThief('/data', 'cors')).status, 200, 'a copy counts in its window');
    // Each round is most of a window.
    const round = windowSeconds - 60;
    let ahead = windowSeconds - 60;
    for (let passed = 0; passed < 3 * windowSeconds; passed += round) {
      await jump((ahead += round));
      await renew();
    }
    await sleep(2000);
  }

  const statuses = await page.evaluate(() => globalThis.statuses);
  assert.ok(statuses.length > 10, `${statuses.length} requests`);
  assert.deepEqual(statuses.filter((status) => status !== 200), [], `of ${statuses.length}`);
  assert.equal(loads, 0, 'a page was loaded');

  // The thief, from the end of the window on, also by the outpost's clock.
  if (decidedBy === 'proxy') {
    await jump(0);
  }
  const refused = await asThief('/data', 'cors');
  assert.equal(refused.status, 401, 'a copy counts after its window');
  const load = await asThief('/data', 'navigate');
  assert.equal(load.status, 302);
  assert.match(load.headers.location, /\/akprox\/start/);
  const start = await ask(front, new URL(load.headers.location, app('/')).href, {
    Cookie: stolen.line,
    'Sec-Fetch-Mode': 'navigate',
    Accept: 'text/html',
  });
  assert.equal(start.status, 302);
  assert.ok(!start.headers.location.startsWith(app('/')), 'the copy was renewed');
  assert.ok(!setsSession(start), 'the copy was renewed');

  // And the browser's side ends with the session: at the provider, the user is still signed in, so
  // that the next page load begins another.
  const signOut = cookieDomain ? front.auth : app('/').replace(/\/$/, '');
  await page.goto(`${signOut}/akprox/sign_out`);
  assert.equal(await device(), undefined);
  await jump(0);
  const after = await context.newPage();
  await after.goto(deepLink);
  const { sid } = claims((await session()).value);
  assert.notEqual(sid, bound.sid, 'the session came back');
});

function setsSession({ headers }) {
  const lines = headers['set-cookie'] ?? [];
  return lines.some((line) => /gatepost(\.\d)?=e/.test(line));
}

function claims(token) {
  return JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
}

/** Asks for the outpost's own page from a page of the application, where that is on its host. */
async function fetchInPage(page, path, elsewhere) {
  if (elsewhere) {
    return {};
  }
  const body = await page.evaluate(
    (path) => fetch(path, { headers: { accept: 'application/json' } }).then((r) => r.text()),
    path,
  );
  return { json: () => (body.startsWith('{"application"') ? JSON.parse(body) : undefined) };
}
