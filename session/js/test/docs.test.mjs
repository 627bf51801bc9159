// The code that the docs show is that of examples/, which is type-checked and partly run.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8');

const examples = new Map(
  readdirSync(new URL('../examples', import.meta.url)).map((file) => [
    read(`../examples/${file}`).trim(),
    file,
  ]),
);

for (const [page, count] of [
  ['../../../docs/javascript.md', examples.size],
  ['../README.md', 1],
]) {
  test(`docs: ${page.replaceAll('../', '')} shows the examples as they are`, () => {
    const shown = [...read(page).matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code.trim());
    assert.equal(new Set(shown).size, count);
    for (const code of shown) {
      assert.ok(examples.has(code), `not in session/js/examples/:\n${code}`);
    }
  });
}

test('docs: the handler for workers is one', async () => {
  process.env.GATEPOST_KEYS = `a:${'A'.repeat(43)}=`;
  const { default: worker } = await import('../examples/fetch.mjs');
  const response = await worker.fetch(new Request('https://wiki.example.com/'));
  assert.equal(response.status, 401);
});
