// Runs in Deno and Bun, without any permission: prints the outcome of the vectors there.

// By path: Deno does not let a package import itself by name.
import { withSession } from '../dist/fetch.js';
import { createVerifier } from '../dist/index.js';

import vectors from '../../../testdata/cookies.json' with { type: 'json' };
import { handler } from './handler.mjs';
import { run } from './vectors.mjs';

console.log(
  JSON.stringify({
    results: run(createVerifier, vectors),
    statuses: await handler(createVerifier, withSession, vectors),
  }),
);
