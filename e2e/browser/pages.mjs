// The outpost's pages, as people see them: in light and dark, in English and German, each without
// a violation that axe-core finds (WCAG 2.2 AA), without a script and without a request elsewhere.
// Pictures of all of them are kept beside the logs.

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

await scenario(async ({ context, newContext, app, alice, bob }) => {
  await context.close();
  for (const look of [
    { language: 'en', locale: 'en-GB', colorScheme: 'light' },
    { language: 'de', locale: 'de-AT', colorScheme: 'dark' },
    { language: 'en', locale: 'fr-FR', colorScheme: 'dark' },
  ]) {
    const { locale, colorScheme } = look;
    const visitor = await newContext({ locale, colorScheme, viewport: { width: 390, height: 844 } });
    const page = await visitor.newPage();
    const origin = new URL(app('/')).origin;
    const elsewhere = [];
    page.on('request', (request) => {
      if (new URL(request.url()).origin !== origin) elsewhere.push(request.url());
    });
    const failed = await page.goto(app('/akprox/callback?state=x&code=y'));
    assert.equal(failed.status(), 400);
    await inspect(page, 'failure', look);
    assert.deepEqual(elsewhere, [], 'the page asked elsewhere');

    await page.goto(app('/'));
    await signIn(page, alice);
    await page.waitForSelector('#seen');
    await page.goto(app('/akprox/session'));
    await inspect(page, 'session', look);
    await page.locator('a.action').click();
    await page.waitForLoadState();
    await visitor.close();

    const other = await newContext({ locale, colorScheme });
    const second = await other.newPage();
    const signedOut = await second.goto(app('/akprox/sign_out'));
    assert.equal(signedOut.status(), 200);
    await inspect(second, 'signed-out', look);
    await other.close();
  }
  assert.ok(bob);
});
