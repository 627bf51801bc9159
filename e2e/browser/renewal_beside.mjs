// Renewals that nobody sees: over several windows of page loads none is redirected, and an outpost
// that does not answer for less than the rest of a window is noticed by nobody.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { openFirefox } from './firefox.mjs';
import { launch, until } from './scenario.mjs';

const input = JSON.parse(process.env.GATEPOST_SCENARIO);
const { alice } = input;
const { windowSeconds, outpostGroup } = input.beside;
const app = (path) => new URL(path, input.app).href;

async function openChromium() {
  const launched = await launch();
  const context = await launched.newContext();
  const page = await context.newPage();
  return {
    goto: async (url) => {
      await page.goto(url);
    },
    evaluate: (expression) => page.evaluate(expression),
    cookies: () => context.cookies(),
    close: () => launched.close(),
  };
}

const tab = input.firefox ? await openFirefox(input.firefox) : await openChromium();
try {
  await signIn();
  await stayOverWindows();
  await stayWithoutTheOutpost();
} finally {
  await tab.close();
}

async function signIn() {
  await tab.goto(app('/'));
  await untilThere('the form', () => tab.evaluate(`!!document.querySelector('input[name=login]')`));
  await tab.evaluate(`(() => {
    document.querySelector('input[name=login]').value = ${JSON.stringify(alice.login)};
    document.querySelector('input[name=password]').value = ${JSON.stringify(alice.password)};
    setTimeout(() => document.querySelector('button[type=submit]').click());
    return true;
  })()`);
  await untilThere('the application', () => tab.evaluate(`!!document.querySelector('#seen')`));
}

/** Loads a page, which must not be redirected, and returns how long that took in milliseconds. */
async function load(path) {
  const begun = Date.now();
  await tab.goto(app(path));
  const took = Date.now() - begun;
  const seen = await tab.evaluate(`({
    where: location.href,
    redirects: performance.getEntriesByType('navigation')[0].redirectCount,
    user: JSON.parse(document.querySelector('#seen')?.textContent ?? '{}').headers?.['x-auth-username'],
  })`);
  assert.deepEqual(seen, { where: app(path), redirects: 0, user: ['alice'] }, path);
  return took;
}

/** Returns when the window of the session ends, by its cookie. */
async function windowEnds() {
  const session = (await tab.cookies()).find(({ name }) => name.endsWith('gatepost'));
  return JSON.parse(Buffer.from(session.value.split('.')[1], 'base64url')).exp;
}

async function stayOverWindows() {
  const windows = new Set();
  const begun = Date.now();
  for (let number = 0; Date.now() - begun < 3.5 * windowSeconds * 1000; number += 1) {
    await load(`/page/${number}`);
    windows.add(await windowEnds());
    await sleep(1000);
  }
  console.log(`${windows.size} windows`);
  assert.ok(windows.size >= 4, `${windows.size} windows`);
}

async function stayWithoutTheOutpost() {
  // Just renewed, so that the outpost is away when the next renewal is due.
  const before = await windowEnds();
  await untilThere('a renewal', async () => {
    await load('/renewed');
    await sleep(500);
    return (await windowEnds()) !== before;
  });
  process.kill(-outpostGroup, 'SIGSTOP');
  try {
    const begun = Date.now();
    for (let number = 0; Date.now() - begun < 0.6 * windowSeconds * 1000; number += 1) {
      const took = await load(`/away/${number}`);
      assert.ok(took < 4000, `a page took ${took} ms`);
      await sleep(1000);
    }
  } finally {
    process.kill(-outpostGroup, 'SIGCONT');
  }
  const ends = await windowEnds();
  await load('/back');
  await untilThere('a renewal', async () => {
    await load('/renewed-again');
    await sleep(500);
    return (await windowEnds()) !== ends;
  });
}

/** Waits until a condition holds, which may fail while a page is under way. */
function untilThere(what, condition) {
  const holds = async () => {
    try {
      return await condition();
    } catch (error) {
      if (error instanceof assert.AssertionError) {
        throw error;
      }
    }
  };
  return until(what, holds, 30_000);
}
