// What several tests need.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { createVerifier } from '@gatepost/session';

import { expected } from './vectors.mjs';

export const vectors = JSON.parse(
  readFileSync(new URL('../../../testdata/cookies.json', import.meta.url), 'utf8'),
);

/** A session that is in force when the vectors say so. */
export const valid = named('valid');

/** The case of that name. */
export function named(name) {
  const found = vectors.cases.find((vector) => vector.name === name);
  assert.ok(found, `testdata/cookies.json has no case called ${name}`);
  return found;
}

/** A verifier for the vectors. */
export function wiki(options = {}) {
  return createVerifier({ keys: vectors.keys, audience: 'wiki', publishedKeys: true, ...options });
}

/** As {@link wiki}, but with the clock at which the vectors are in force. */
export function wikiThen() {
  const verifier = wiki();
  return {
    audience: verifier.audience,
    fromCookieHeader: (header) => verifier.fromCookieHeader(header, valid.now),
  };
}

/** Runs one test for each case, with its outcome in some runtime. */
export function testVectors(runtime, results) {
  vectors.cases.forEach((vector, index) => {
    test(`${runtime}: ${vector.name}`, () => {
      // As JSON: results come from other processes, and `ext` has no prototype here.
      const got = JSON.parse(JSON.stringify(results[index]));
      assert.deepEqual(got, expected(vector), vector.why);
    });
  });
}
