// A tab of a user, in Chromium or Firefox.

import assert from 'node:assert/strict';
import { openFirefox } from './firefox.mjs';
import { launch, until } from './scenario.mjs';

const input = JSON.parse(process.env.GATEPOST_SCENARIO);
const { alice } = input;
const app = (path) => new URL(path, input.app).href;

/**
 * Opens a tab of a browser that has never been anywhere.
 *
 * @returns {Promise<{
 *   signIn: () => Promise<void>,
 *   load: (path: string) => Promise<number>,
 *   window: () => Promise<{ iat: number, rnw: number, exp: number }>,
 *   close: () => Promise<void>,
 * }>}
 */
export async function openTab() {
  const tab = input.firefox ? await openFirefox(input.firefox) : await openChromium();
  return {
    /** Signs Alice in. */
    signIn: () => signIn(tab),
    /** Loads a page of the application, which gets the name, and returns the number of redirects. */
    load: (path) => load(tab, path),
    /** Returns the times of the session's window, by its cookie. */
    window: () => window(tab),
    close: tab.close,
  };
}

/** Waits until a condition holds, which may fail while a page is under way. */
export function untilThere(what, condition) {
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

async function signIn(tab) {
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

async function load(tab, path) {
  await tab.goto(app(path));
  const { redirects, ...seen } = await tab.evaluate(`({
    where: location.href,
    redirects: performance.getEntriesByType('navigation')[0].redirectCount,
    user: JSON.parse(document.querySelector('#seen')?.textContent ?? '{}').headers?.['x-auth-username'],
  })`);
  assert.deepEqual(seen, { where: app(path), user: ['alice'] }, path);
  return redirects;
}

async function window(tab) {
  const session = (await tab.cookies()).find(({ name }) => name.endsWith('gatepost'));
  return JSON.parse(Buffer.from(session.value.split('.')[1], 'base64url'));
}
