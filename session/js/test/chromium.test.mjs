// In a real Chromium, the cookies of testdata/cookies.json come out as written there.
//
// Not that a page should verify sessions: keys belong on servers. But what runs here runs in
// browser extensions, test runners and everything else that is made of a browser.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';

import { chromium } from 'playwright-core';

import { testVectors, vectors } from './world.mjs';

const PACKAGE = new URL('../', import.meta.url);

/** For one step on a machine that is busy with other tests. */
const PATIENCE_MS = 120_000;

/** A strict policy for a page; WebAssembly has to be allowed by name. */
const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'";

/** Serves an empty page, the built package and the vectors' runner. */
const server = createServer(async (request, response) => {
  const path = new URL(request.url, 'http://localhost').pathname.slice(1);
  response.setHeader('Content-Security-Policy', POLICY);
  if (path === '') {
    response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>test</title>');
  } else if (/^(dist\/[\w/]+|test\/vectors)\.m?js$/.test(path)) {
    response.setHeader('Content-Type', 'text/javascript').end(await readFile(new URL(path, PACKAGE)));
  } else {
    response.writeHead(404).end();
  }
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

const executablePath = process.env.GATEPOST_CHROMIUM;
assert.ok(executablePath, 'GATEPOST_CHROMIUM names no browser: `cargo xtask js` sets it');
const browser = await chromium.launch({
  executablePath,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  timeout: PATIENCE_MS,
});
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  const results = await page.evaluate(async (given) => {
    const { createVerifier } = await import('/dist/index.js');
    const { run } = await import('/test/vectors.mjs');
    return JSON.stringify(run(createVerifier, given));
  }, vectors);
  testVectors(`Chromium ${browser.version()}`, JSON.parse(results));
} finally {
  await browser.close();
  server.close();
}
