// Options are checked once, inputs never throw.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createVerifier, OptionsError } from '@gatepost/session';

import { named, valid, vectors, wiki } from './world.mjs';

const SECRET = vectors.keys[0].split(':')[1];

const OWN_KEY = 'own:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=';

const wrongOptions = [
  ['nothing', undefined, /expected an object with options, got nothing/],
  ['keys in place of options', vectors.keys[0], /expected an object .* got a value of type string/],
  ['a list in place of options', vectors.keys, /expected an object with options, got a list/],
  ['unknown option', { audiense: 'wiki' }, /^audiense: unknown option: expected keys, audience/],
  ['a key for an option', { [vectors.keys[0]]: '' }, /^\(an option\): unknown option/],
  ['no keys', { keys: undefined }, /^keys: expected text or a list of texts, got nothing/],
  ['keys as object', { keys: { a: SECRET } }, /^keys: expected text or a list/],
  ['empty text of keys', { keys: '' }, /^keys: no key: expected `kid:base64`/],
  ['empty list of keys', { keys: [] }, /^keys: no key/],
  ['hole in the keys', { keys: [vectors.keys[0], undefined] }, /^keys: entry 2: .* got nothing/],
  ['empty entry', { keys: [vectors.keys[0], ' '] }, /^keys: entry 2: .* got another text/],
  ['two keys in one entry', { keys: [vectors.keys.join(',')] }, /^keys: entry 1: .* another text/],
  ['key without id', { keys: [SECRET] }, /^keys: key 1 has no key id/],
  ['key that is no base64', { keys: `a:!${SECRET}` }, /^keys: key `a` is not base64/],
  ['short key', { keys: 'a:c2hvcnQ=' }, /^keys: key `a` has 5 bytes: expected 32 or more/],
  ['a published key', { publishedKeys: undefined }, /^keys: key `2026a` is published/],
  ['a published key behind another', { keys: [OWN_KEY, vectors.keys[0]], publishedKeys: false }, /`2026a` is pub/],
  ['a key of its own as published', { keys: [OWN_KEY] }, /^keys: key `own` is not published/],
  ['publishedKeys as text', { publishedKeys: 'true' }, /^publishedKeys: expected true or false/],
  ['key id twice', { keys: [vectors.keys[0], vectors.keys[0]] }, /is repeated/],
  ['no audience', { audience: undefined }, /^audience: expected text, got nothing/],
  ['empty audience', { audience: '' }, /^audience: expected text, got an empty one/],
  ['audience with a space', { audience: 'a b' }, /^audience: not an application name/],
  ['list of audiences', { audience: ['wiki'] }, /^audience: expected text, got a list/],
  ['empty issuer', { issuer: '' }, /^issuer: expected text, got an empty one/],
  ['issuer null', { issuer: null }, /^issuer: expected text, got null/],
  ['cookie name with a dot', { cookieName: 'a.b' }, /^cookieName: not a cookie name/],
  ['clock skew as text', { clockSkew: '30' }, /^clockSkew: expected a whole number of seconds/],
  ['clock skew in milliseconds', { clockSkew: 30_000 }, /^clockSkew: .* from 0 to 300/],
  ['clock skew of a half', { clockSkew: 0.5 }, /^clockSkew/],
];

for (const [name, options, message] of wrongOptions) {
  test(`options: ${name}`, () => {
    const plain = typeof options === 'object' && !Array.isArray(options);
    const given = plain ? { keys: vectors.keys, audience: 'wiki', publishedKeys: true, ...options } : options;
    assert.throws(
      () => createVerifier(given),
      (error) => {
        assert.ok(error instanceof OptionsError, String(error));
        assert.match(error.message, message);
        assert.ok(!`${error.stack}`.includes(SECRET), 'shows a secret');
        return true;
      },
    );
  });
}

test('a key of its own needs no other option', () => {
  assert.equal(createVerifier({ keys: [OWN_KEY], audience: 'wiki' }).audience, 'wiki');
});

test('keys are accepted as a list and as the text of a file', () => {
  const file = `# newest first\r\n${vectors.keys[0]}\r\n\r\n${vectors.keys[1]}\r\n`;
  for (const keys of [vectors.keys, file, vectors.keys.join(',')]) {
    const verdict = wiki({ keys }).fromCookieHeader(named('valid, older key').cookies, valid.now);
    assert.equal(verdict.ok, true, JSON.stringify(keys));
  }
});

const [header] = valid.cookies;
const wrongInputs = [
  ['no header', undefined, valid.now, 'no-cookie'],
  ['null', null, valid.now, 'no-cookie'],
  ['empty header', '', valid.now, 'no-cookie'],
  ['no lines', [], valid.now, 'no-cookie'],
  ['a number', 1, valid.now, 'wrong-type'],
  ['a flag', true, valid.now, 'wrong-type'],
  ['a symbol', Symbol('cookie'), valid.now, 'wrong-type'],
  ['an object', { cookie: header }, valid.now, 'wrong-type'],
  ['headers in place of one', new Headers({ cookie: header }), valid.now, 'wrong-type'],
  ['a list with a hole', [header, undefined], valid.now, 'wrong-type'],
  ['a list of lists', [[header]], valid.now, 'wrong-type'],
  ['a mebibyte and a half', `a=${'x'.repeat(1.5 * 2 ** 20)}; ${header}`, valid.now, 'too-long'],
  ['30 MB', 'x'.repeat(30e6), valid.now, 'too-long'],
  ['half a surrogate pair', `__Host-gatepost=\ud800`, valid.now, 'malformed'],
  ['letters beyond ASCII', `__Host-gatepost=${'é'.repeat(100)}`, valid.now, 'malformed'],
  ['NUL', `__Host-gatepost=\0`, valid.now, 'malformed'],
  ['time as text', header, String(valid.now), 'wrong-type'],
  ['no number', header, NaN, 'wrong-type'],
  ['never', header, Infinity, 'wrong-type'],
  ['invalid date', header, new Date('never'), 'wrong-type'],
  ['null for a time', header, null, 'wrong-type'],
  ['before 1970', header, -1, 'not-yet'],
  ['milliseconds', header, valid.now * 1000, 'ended'],
];

for (const [name, cookies, now, reason] of wrongInputs) {
  test(`input: ${name}`, () => {
    assert.deepEqual(wiki().fromCookieHeader(cookies, now), { ok: false, reason });
  });
}

test('a large header with the session at its end is read', () => {
  const cookies = `theme=${'x'.repeat(1_000_000)}; ${header}`;
  assert.equal(wiki().fromCookieHeader(cookies, valid.now).ok, true);
});

test('time is a date, seconds, or the clock of the system', (t) => {
  const verifier = wiki();
  for (const now of [new Date(valid.now * 1000), valid.now, valid.now + 0.5]) {
    assert.equal(verifier.fromCookieHeader(header, now).ok, true, String(now));
  }
  const clock = t.mock.method(Date, 'now', () => (valid.now + 899.9) * 1000);
  assert.equal(verifier.fromCookieHeader(header).ok, true);
  clock.mock.mockImplementation(() => (valid.now + 900) * 1000);
  assert.deepEqual(verifier.fromCookieHeader(header), { ok: false, reason: 'ended' });
});

test('clock skew is allowed on iat', () => {
  const [early] = named('valid, clock 30 s ahead').cookies;
  assert.equal(wiki().fromCookieHeader(early, valid.now).ok, true);
  assert.deepEqual(wiki({ clockSkew: 29 }).fromCookieHeader(early, valid.now), {
    ok: false,
    reason: 'not-yet',
  });
});

test('the cookie is called __Host-gatepost by default', () => {
  const plain = header.replace('__Host-gatepost', 'gatepost');
  assert.equal(wiki().fromCookieHeader(plain, valid.now).reason, 'no-cookie');
  assert.equal(wiki({ cookieName: 'gatepost' }).fromCookieHeader(plain, valid.now).ok, true);
});

test('what a session leaves out has no meaning inherited from elsewhere', () => {
  const { session } = wiki().fromCookieHeader(named('valid, minimal').cookies, valid.now);
  assert.deepEqual(session.groups, []);
  assert.equal(session.ext['constructor'], undefined);
  assert.equal(session.ext['__proto__'], undefined);
});

test('nothing that is shown of a verifier shows a secret', async () => {
  const { inspect } = await import('node:util');
  const shown = inspect(wiki(), { depth: 10, showHidden: true }) + JSON.stringify(wiki());
  assert.ok(!shown.includes(SECRET));
});

test('the module can verify and nothing else', async () => {
  const glue = await import('../dist/wasm/gatepost_session.js');
  const exports = Object.keys(glue.initSync());
  assert.deepEqual(
    exports.filter((name) => !name.startsWith('__')).sort(),
    ['cookiereader_new', 'cookiereader_read', 'memory'],
  );
});

test('memory does not grow with the requests', async () => {
  const { initSync } = await import('../dist/wasm/gatepost_session.js');
  const { memory } = initSync();
  const verifier = wiki();
  const longest = named('valid, five chunks').cookies;
  verifier.fromCookieHeader(longest, valid.now);
  const before = memory.buffer.byteLength;
  for (let count = 0; count < 2_000; count += 1) {
    verifier.fromCookieHeader(longest, valid.now);
    verifier.fromCookieHeader(named('flipped bit in MAC').cookies, valid.now);
  }
  assert.equal(memory.buffer.byteLength, before);
});
