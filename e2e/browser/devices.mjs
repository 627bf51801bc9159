// What the scenarios of sessions that are bound to a device share.

import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from './scenario.mjs';

const { clock } = JSON.parse(process.env.GATEPOST_SCENARIO).device;

/** Returns whether a cookie is a session's, or its first part. */
export function isSession({ name }) {
  return name.endsWith('gatepost') || name.endsWith('gatepost.0');
}

/** Returns whether a cookie is the one by which the browser knows that its session is bound. */
export function isDevice({ name }) {
  return name.includes('-device-');
}

/** Has the page fetch something, and returns the status of the answer. */
export function poll(page) {
  return page.evaluate(() => fetch('/poll').then(({ status }) => status));
}

/** Waits until a page's browser has bound its session, by itself. */
export function untilBound(page) {
  return until('the session is bound', async () => {
    await poll(page);
    return (await page.context().cookies(page.url())).some(isDevice);
  });
}

/** Checks that page loads are refused, with a page that says which browsers can bind sessions. */
export async function isRefused(page, app) {
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const response = await page.goto(app(`/again?${attempt}`));
    assert.equal(response.status(), 403, page.url());
    assert.match(await page.textContent('main'), /Chrome on Windows/);
  }
}

/** Sets the outpost's clock so many seconds ahead of the system's, and lets the outpost see it. */
export async function jump(seconds) {
  const sign = seconds < 0 ? '' : '+';
  writeFileSync(`${clock}.next`, `${sign}${seconds}\n`);
  renameSync(`${clock}.next`, clock);
  await sleep(500);
}
