// Renewals that no user sees: over several windows of page loads none is redirected, and no user
// notices an outpost that does not answer for less than the rest of a window.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { openTab, untilThere } from './tab.mjs';

const { windowSeconds, outpostGroup } = JSON.parse(process.env.GATEPOST_SCENARIO).beside;

const tab = await openTab();
try {
  await tab.signIn();
  await stayOverWindows();
  await stayWithoutTheOutpost();
} finally {
  await tab.close();
}

/** Loads a page, which must not be redirected, and returns how long that took in milliseconds. */
async function load(path) {
  const begun = Date.now();
  const redirects = await tab.load(path);
  assert.equal(redirects, 0, path);
  return Date.now() - begun;
}

async function stayOverWindows() {
  const windows = new Set();
  const begun = Date.now();
  for (let number = 0; Date.now() - begun < 3.5 * windowSeconds * 1000; number += 1) {
    await load(`/page/${number}`);
    windows.add((await tab.window()).exp);
    await sleep(1000);
  }
  console.log(`${windows.size} windows`);
  assert.ok(windows.size >= 4, `${windows.size} windows`);
}

async function stayWithoutTheOutpost() {
  // Just renewed, so that the outpost is away when the next renewal is due.
  const before = (await tab.window()).exp;
  await untilThere('a renewal', async () => {
    await load('/renewed');
    await sleep(500);
    return (await tab.window()).exp !== before;
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
  const ends = (await tab.window()).exp;
  await load('/back');
  await untilThere('a renewal', async () => {
    await load('/renewed-again');
    await sleep(500);
    return (await tab.window()).exp !== ends;
  });
}
