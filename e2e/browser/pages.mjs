// The pages, as people see them: in light and dark, in English and German, each without a violation
// that axe-core finds (WCAG 2.2 AA), without a script and without a request elsewhere. Screenshots
// of all of them are kept next to the logs.
//
// Where the plugin decides, it refuses users itself, in English; elsewhere the outpost does, and
// users choose between two providers. No response of the outpost to a subrequest may look like
// success, so its pages about a valid session are not tested there.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { scenario, picture, signIn } from './scenario.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Looks at the page that is open. */
async function inspect(page, name, { language, colorScheme }) {
  // As the driver: the page's own policy lets no script run.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() =>
    globalThis.axe.run({
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    }),
  );
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((n) => n.html).join(' ')}`);
  assert.deepEqual(found, [], `${name} ${language} ${colorScheme}`);
  assert.equal(await page.locator('html').getAttribute('lang'), language, name);
  assert.equal(await page.locator('script').count(), 0, name);
  await picture(page, `${name}-${language}-${colorScheme}`);
}

/** Opens a page as a form that is sent there. */
async function submit(page, url) {
  await page.route(url, (route) =>
    route.continue({
      method: 'POST',
      headers: { ...route.request().headers(), 'content-type': 'application/x-www-form-urlencoded' },
      postData: 'comment=long',
    }),
  );
  const answer = await page.goto(url);
  await page.unroute(url);
  return answer;
}

/** Begins one sign-in after the other without ending any, as a browser in a loop does. */
async function beginAgainAndAgain(page, url) {
  for (let attempt = 0; attempt < 20; attempt += 1) {
    const answer = await page.goto(url);
    if (new URL(answer.url()).origin === new URL(url).origin) return answer;
  }
  assert.fail('no loop was noticed');
}

/**
 * Looks at the page that asks where to sign in, and chooses the first by the keyboard alone.
 * `titles` are the texts of the links.
 */
async function choose(page, name, look, titles) {
  const links = page.locator('main a');
  assert.deepEqual(await links.allInnerTexts(), titles);
  const { width, height } = page.viewportSize();
  await page.setViewportSize({ width: 320, height });
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth) <= 320, 'too wide');
  await inspect(page, `${name}-narrow`, look);
  await page.setViewportSize({ width, height });
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.innerText), titles[0]);
  await inspect(page, name, look);
  await page.keyboard.press('Enter');
}

await scenario(async ({ context, newContext, label, app, alice, bob }) => {
  await context.close();
  for (const look of [
    { language: 'en', locale: 'en-GB', colorScheme: 'light' },
    { language: 'de', locale: 'de-AT', colorScheme: 'dark' },
    { language: 'en', locale: 'fr-FR', colorScheme: 'dark' },
    { language: 'de', locale: 'de-DE', colorScheme: 'light' },
  ]) {
    const { locale, colorScheme } = look;
    const ofRefusal = label === 'plugin' ? { ...look, language: 'en' } : look;
    const small = { width: 390, height: 844 };
    const visitor = await newContext({ locale, colorScheme, viewport: small });
    const page = await visitor.newPage();
    const origin = new URL(app('/')).origin;
    const elsewhere = [];
    page.on('request', (request) => {
      if (new URL(request.url()).origin !== origin) elsewhere.push(request.url());
    });
    const failed = await page.goto(app('/akprox/callback?state=x&code=y'));
    assert.equal(failed.status(), 400);
    await inspect(page, 'failure', look);
    const undelivered = await submit(page, app('/comment'));
    assert.equal(undelivered.status(), 401);
    await inspect(page, 'not-delivered', ofRefusal);
    assert.deepEqual(elsewhere, [], 'the page asked elsewhere');

    if (label === 'plugin') {
      await page.goto(app('/'));
      await signIn(page, alice);
      await page.waitForSelector('#seen');
      await page.goto(app('/akprox/session'));
      await inspect(page, 'session', look);
      await page.locator('a.action').click();
      await page.waitForLoadState();
    }
    await visitor.close();

    const other = await newContext({ locale, colorScheme });
    const second = await other.newPage();
    if (label === 'plugin') {
      const signedOut = await second.goto(app('/akprox/sign_out'));
      assert.equal(signedOut.status(), 200);
      await inspect(second, 'signed-out', look);
    }
    const looping = await beginAgainAndAgain(second, app('/akprox/start?rd=%2F&provider=main'));
    assert.ok(looping.status() >= 400, `${looping.status()}`);
    await inspect(second, 'loop', look);
    await other.close();

    const third = await newContext({ locale, colorScheme });
    const refused = await third.newPage();
    await refused.goto(app('/'));
    if (label === 'outpost') await choose(refused, 'choice', look, ['main', 'Our partners']);
    const [denied] = await Promise.all([
      refused.waitForResponse((answer) => answer.status() === 403),
      signIn(refused, bob),
    ]);
    assert.equal(new URL(denied.url()).origin, origin);
    await refused.waitForLoadState();
    await inspect(refused, 'denied', ofRefusal);
    if (label === 'outpost') {
      await refused.locator('a.action').click();
      await refused.waitForURL((url) => url.origin !== new URL(app('/')).origin);
      await refused.goto(app('/'));
      const last = look.language === 'de' ? 'Zuletzt verwendet' : 'Used last';
      await choose(refused, 'choice-again', look, [`main\n${last}`, 'Our partners']);
      await refused.waitForLoadState();
    }
    await third.close();
  }
});
