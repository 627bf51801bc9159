// A user who goes back after signing in gets the provider's page or the app, never an error of the
// outpost, and going forward leads to the page before.

import assert from 'node:assert/strict';
import { scenario, signIn } from './scenario.mjs';

await scenario(async ({ page, app, alice }) => {
  const refused = [];
  page.on('response', (response) => {
    if (response.url().startsWith(app('/')) && response.status() >= 400) {
      refused.push(`${response.status()} ${new URL(response.url()).pathname}`);
    }
  });
  const deepLink = app('/reports?quarter=3');
  await page.goto(app('/public/start'));
  await page.goto(deepLink);
  await signIn(page, alice);
  await page.waitForSelector('#seen');

  // Between the two lie start, provider and callback, of which only the provider's page is one.
  await page.goBack();
  if (page.url() !== app('/public/start')) {
    assert.notEqual(new URL(page.url()).host, new URL(deepLink).host, page.url());
    await page.goBack();
  }
  assert.equal(page.url(), app('/public/start'));
  await page.waitForSelector('#seen');

  await page.goto(deepLink);
  await page.waitForSelector('#seen');
  assert.equal(page.url(), deepLink);
  await page.goto(app('/next'));
  await page.goBack();
  await page.waitForSelector('#seen');
  assert.equal(page.url(), deepLink);
  assert.deepEqual(refused.filter((line) => !line.endsWith('/favicon.ico')), []);
});
