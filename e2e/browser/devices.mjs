// What the scenarios of sessions that are bound to a device share.

import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const { clock } = JSON.parse(process.env.GATEPOST_SCENARIO).device;

/** Returns whether a cookie is a session's, or its first part. */
export function isSession({ name }) {
  return name.endsWith('gatepost') || name.endsWith('gatepost.0');
}

/** Sets the outpost's clock so many seconds ahead of the system's. */
export function jump(seconds) {
  const sign = seconds < 0 ? '' : '+';
  writeFileSync(`${clock}.next`, `${sign}${seconds}\n`);
  renameSync(`${clock}.next`, clock);
}

/** Waits until a condition holds, and returns what it returned. */
export async function until(what, condition, patienceMs = 20_000) {
  const begun = Date.now();
  for (;;) {
    const result = await condition();
    if (result) {
      return result;
    }
    assert.ok(Date.now() - begun < patienceMs, `in vain: ${what}`);
    await sleep(250);
  }
}
