// A verifier that follows a keys file.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { OptionsError } from '@gatepost/session';
import { createFileVerifier } from '@gatepost/session/node';

import { named, valid, vectors } from './world.mjs';

const [newKey, oldKey] = vectors.keys;

/** A keys file that goes with the test. */
function fileFor(t, text) {
  const folder = mkdtempSync(join(tmpdir(), 'gatepost-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const keysFile = join(folder, 'gatepost.keys');
  writeFileSync(keysFile, text);
  return keysFile;
}

/** A monotonic clock that only the test moves. */
function clock(t) {
  let now = 1e6;
  t.mock.method(performance, 'now', () => now);
  return { pass: (seconds) => (now += seconds * 1000) };
}

function reasons(verifier) {
  return ['valid', 'valid, older key'].map((name) => {
    const verdict = verifier.fromCookieHeader(named(name).cookies, valid.now);
    return verdict.ok ? 'ok' : verdict.reason;
  });
}

test('keys are rotated and retired without a restart', (t) => {
  const { pass } = clock(t);
  const keysFile = fileFor(t, `${oldKey}\n`);
  const verifier = createFileVerifier({ keysFile, audience: 'wiki', publishedKeys: true });
  assert.deepEqual(reasons(verifier), ['forged', 'ok']);

  writeFileSync(keysFile, `# rotated\n${newKey}\n${oldKey}\n`);
  pass(9);
  assert.deepEqual(reasons(verifier), ['forged', 'ok'], 'looked at too often');
  pass(1);
  assert.deepEqual(reasons(verifier), ['ok', 'ok']);

  writeFileSync(keysFile, `${newKey}\n`);
  pass(10);
  assert.deepEqual(reasons(verifier), ['ok', 'forged']);
});

test('a file that turns unreadable or wrong leaves the keys in force, and is reported', (t) => {
  const { pass } = clock(t);
  const problems = [];
  const onProblem = (problem) => problems.push(problem.message);
  const keysFile = fileFor(t, `${newKey}\n`);
  const verifier = createFileVerifier({ keysFile, audience: 'wiki', publishedKeys: true, onProblem });

  writeFileSync(keysFile, 'a:c2hvcnQ=\n');
  pass(10);
  assert.deepEqual(reasons(verifier), ['ok', 'forged']);
  rmSync(keysFile);
  pass(10);
  assert.deepEqual(reasons(verifier), ['ok', 'forged']);
  assert.equal(problems.length, 2, problems.join('\n'));
  assert.match(problems[0], /^keysFile: .*gatepost\.keys: key `a` has 5 bytes/);
  assert.match(problems[1], /^keysFile: .*gatepost\.keys cannot be read: ENOENT/);

  writeFileSync(keysFile, `${oldKey}\n`);
  pass(10);
  assert.deepEqual(reasons(verifier), ['forged', 'ok'], 'mended');
  assert.equal(problems.length, 2);
});

test('a problem without a listener is a warning without a secret', (t) => {
  const { pass } = clock(t);
  const warn = t.mock.method(console, 'warn', () => {});
  const keysFile = fileFor(t, newKey);
  const verifier = createFileVerifier({ keysFile, audience: 'wiki', publishedKeys: true });
  writeFileSync(keysFile, newKey.replace(':', ' '));
  pass(10);
  assert.deepEqual(reasons(verifier), ['ok', 'forged']);
  const [line] = warn.mock.calls[0].arguments;
  assert.match(line, /^gatepost: keysFile: .*; the keys read before stay in force$/);
  assert.ok(!line.includes(newKey.split(':')[1]));
});

test('without usable keys at start there is no verifier', () => {
  const missing = join(tmpdir(), 'gatepost-no-such-folder', 'keys');
  for (const [options, message] of [
    [{ keysFile: missing, audience: 'wiki' }, /^keysFile: .* cannot be read: ENOENT/],
    [{ audience: 'wiki' }, /^keysFile: expected the path of a keys file/],
  ]) {
    assert.throws(
      () => createFileVerifier(options),
      (error) => error instanceof OptionsError && message.test(error.message),
    );
  }
});
