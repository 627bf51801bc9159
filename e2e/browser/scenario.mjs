// The start of every scenario: a fresh Chromium, the addresses and users of the stack, and on
// failure a screenshot and the page next to the log.
//
// A scenario's file calls `scenario` once. `gatepost_e2e::browser::run` starts it with its input in
// GATEPOST_SCENARIO; its output is shown when it fails.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';

const input = JSON.parse(process.env.GATEPOST_SCENARIO);

/** For one step on a machine that is busy with other tests. */
const PATIENCE_MS = 60_000;

/**
 * Runs `steps` with a page of a browser that has never been anywhere.
 *
 * @param {(world: {
 *   page: import('playwright-core').Page,
 *   context: import('playwright-core').BrowserContext,
 *   newContext: import('playwright-core').Browser['newContext'],
 *   label: string,
 *   frames?: { cookies: 'lax' | 'none' | 'partitioned', thirdParties: 'allowed' | 'blocked' },
 *   app: (path: string) => string,
 *   alice: User, bob: User,
 * }) => Promise<void>} steps
 */
export async function scenario(steps) {
  const browser = await launch(input.arguments);
  const context = await browser.newContext();
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  page.on('response', (response) =>
    console.log(response.status(), response.request().method(), withoutQuery(response.url())),
  );
  try {
    await steps({
      page,
      context,
      newContext: (options) => browser.newContext(options),
      label: input.name,
      frames: input.frames,
      app: (path) => new URL(path, input.app).href,
      alice: input.alice,
      bob: input.bob,
    });
  } catch (error) {
    console.error(error);
    await keep(page).catch((reason) => console.error('no screenshot:', reason));
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
}

/** Runs `steps` in another browser, which lacks what this scenario's has beyond the usual. */
export async function inAnotherBrowser(steps) {
  const browser = await launch();
  try {
    const context = await browser.newContext();
    context.setDefaultTimeout(PATIENCE_MS);
    await steps({ context, page: await context.newPage() });
  } finally {
    await browser.close();
  }
}

/**
 * Runs `steps` with a context of a profile with these preferences, which a browser treats as that of
 * a user, and not as a private window.
 */
export async function inAProfile(preferences, options, steps) {
  const folder = mkdtempSync(join(tmpdir(), 'gatepost-profile-'));
  mkdirSync(join(folder, 'Default'));
  writeFileSync(join(folder, 'Default', 'Preferences'), JSON.stringify(preferences));
  const usual = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'];
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: input.chromium,
    args: [...usual, ...(input.arguments ?? [])],
    env: { ...process.env, ...input.environment },
    timeout: PATIENCE_MS,
    ...options,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  try {
    await steps(context);
  } finally {
    await context.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Starts a browser that has never been anywhere. */
export function launch(further = []) {
  const usual = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'];
  return chromium.launch({
    executablePath: input.chromium,
    args: [...usual, ...further],
    env: { ...process.env, ...input.environment },
    timeout: PATIENCE_MS,
  });
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

/** Opens a page, signs in on the way, and checks that the app gets the name. Returns what it saw. */
export async function arriveAt(page, deepLink, alice) {
  await page.goto(deepLink);
  await signIn(page, alice);
  await page.waitForSelector('#seen');
  assert.equal(page.url(), deepLink);
  const seen = await seenByApp(page);
  assert.deepEqual(seen.headers['x-auth-username'], ['alice']);
  return seen;
}

/** Fills in the provider's form. */
export async function signIn(page, user) {
  await page.fill('input[name=login]', user.login);
  await page.fill('input[name=password]', user.password);
  await page.click('button[type=submit]');
}

/** Returns the request that the demo app received, from the page that it shows. */
export async function seenByApp(page) {
  return JSON.parse(await page.locator('#seen').textContent());
}

/** Keeps a picture of the page for people to look at. */
export async function picture(page, name) {
  mkdirSync(input.artefacts, { recursive: true });
  await page.screenshot({ path: join(input.artefacts, `${input.name}-${name}.png`), fullPage: true });
}

/** Queries carry authorization codes. */
function withoutQuery(url) {
  return url.replace(/\?.*/, '?…');
}

async function keep(page) {
  mkdirSync(input.artefacts, { recursive: true });
  writeFileSync(join(input.artefacts, `${input.name}.html`), await page.content());
  await page.screenshot({ path: join(input.artefacts, `${input.name}.png`), fullPage: true });
  console.error(`see ${input.name}.png and ${input.name}.html in ${input.artefacts}`);
}
