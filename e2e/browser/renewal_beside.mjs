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

/** Loads a page, which must not be redirected. */
async function load(path) {
  assert.equal(await tab.load(path), 0, path);
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
      // A page that waited for the outpost would not be there before it goes on.
      await load(`/away/${number}`);
      await sleep(1000);
    }
  } finally {
    process.kill(-outpostGroup, 'SIGCONT');
  }
  const ends = (await tab.window()).exp;
  // A busy machine may come to the last quarter of the window, in which a page load is redirected.
  await tab.load('/back');
  await untilThere('a renewal', async () => {
    await load('/renewed-again');
    await sleep(500);
    return (await tab.window()).exp !== ends;
  });
}
