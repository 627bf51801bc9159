// Renewals that no user sees: over several windows of page loads none is redirected, and no user
// notices an outpost that does not answer for less than the rest of a window.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { openTab, untilThere } from './tab.mjs';

const { windowSeconds, outpostGroup } = JSON.parse(process.env.GATEPOST_SCENARIO).beside;

/** How often a machine may be too busy to load a page while the outpost is away. */
const ATTEMPTS = 5;

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
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    if ((await loadWithoutTheOutpost(attempt)) > 0) {
      return;
    }
  }
  assert.fail('no page past the time of a renewal');
}

/** Returns how many pages were there although their renewal was due and the outpost did not answer. */
async function loadWithoutTheOutpost(attempt) {
  // Just renewed, so that the outpost is away when the next renewal is due.
  await renewal('/renewed');
  process.kill(-outpostGroup, 'SIGSTOP');
  let withoutIt = 0;
  const { iat, rnw, exp } = await tab.window();
  try {
    // In the last quarter of a window a page load waits for the outpost. A busy machine takes seconds
    // from a load's start to the proxy.
    const last = iat + 0.5 * windowSeconds;
    for (let now = seconds(); now < last; now = seconds()) {
      await load(`/away/${attempt}/${now}`);
      withoutIt += now > rnw ? 1 : 0;
      await sleep(1000);
    }
    assert.equal((await tab.window()).exp, exp, 'renewed without the outpost');
  } finally {
    process.kill(-outpostGroup, 'SIGCONT');
  }
  // A busy machine may come to the last quarter of the window, in which a page load is redirected.
  await tab.load('/back');
  await renewal('/renewed-again');
  return withoutIt;
}

/** Loads pages until one has renewed. */
async function renewal(path) {
  const before = (await tab.window()).exp;
  await untilThere('a renewal', async () => {
    await load(path);
    await sleep(500);
    return (await tab.window()).exp !== before;
  });
}

function seconds() {
  return Date.now() / 1000;
}
