// Size of the package and time per call. `node session/js/bench.mjs [--json]`, after
// `cargo xtask js --no-test`.

import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const started = performance.now();
const { createVerifier } = await import('./dist/index.js');
const loadMs = performance.now() - started;

const vectors = JSON.parse(
  readFileSync(new URL('../../testdata/cookies.json', import.meta.url), 'utf8'),
);

/** How long one round takes, and how many there are: the quickest counts, as it was disturbed least. */
const ROUND_MS = 200;
const ROUNDS = 7;

/** Requests as they come. The last is the most work that a client without a key can cause. */
const REQUESTS = [
  ['accepted', 'valid'],
  ['accepted, three chunks', 'valid, three chunks'],
  ['accepted, five chunks', 'valid, five chunks'],
  ['no cookie', 'no cookie'],
  ['forged', 'flipped bit in MAC'],
];

const calls = Object.fromEntries(
  REQUESTS.map(([request, name]) => {
    const vector = vectors.cases.find((candidate) => candidate.name === name);
    return [request, { bytes: vector.cookies.join('').length, microseconds: timeOf(vector) }];
  }),
);

/** Microseconds for one call. */
function timeOf({ audience, cookies, now }) {
  const verifier = createVerifier({ keys: vectors.keys, audience, publishedKeys: true });
  const call = () => verifier.fromCookieHeader(cookies, now);
  round(call);
  return Math.min(...Array.from({ length: ROUNDS }, () => round(call)));
}

function round(call) {
  const BATCH = 50;
  const begun = performance.now();
  let count = 0;
  let elapsed;
  do {
    for (let index = 0; index < BATCH; index += 1) call();
    count += BATCH;
    elapsed = performance.now() - begun;
  } while (elapsed < ROUND_MS);
  return (elapsed * 1000) / count;
}

function size(file) {
  const bytes = readFileSync(new URL(`dist/${file}`, import.meta.url));
  return { bytes: bytes.length, gzipped: gzipSync(bytes, { level: 9 }).length };
}

const figures = {
  runtime: `Node.js ${process.versions.node}`,
  module: size('wasm/gatepost_session_bg.wasm'),
  moduleInJavaScript: size('wasm/module.js'),
  loadMilliseconds: loadMs,
  calls,
};

if (process.argv.includes('--json')) {
  console.log(JSON.stringify(figures));
} else {
  const kilobytes = ({ bytes, gzipped }) =>
    `${(bytes / 1000).toFixed(1)} kB, gzipped ${(gzipped / 1000).toFixed(1)} kB`;
  console.log(`${figures.runtime}
module                   ${kilobytes(figures.module)}
module as JavaScript     ${kilobytes(figures.moduleInJavaScript)}
import                   ${loadMs.toFixed(1)} ms`);
  for (const [name, { bytes, microseconds }] of Object.entries(calls)) {
    console.log(`${name.padEnd(24)} ${microseconds.toFixed(1)} µs (${bytes} bytes)`);
  }
}
