// Runs in workerd: answers with the outcome of the vectors there.

import { withSession } from '../dist/fetch.js';
import { createVerifier } from '../dist/workerd.js';
import vectors from '../testdata/cookies.json';
import { handler } from './handler.mjs';
import { run } from './vectors.mjs';

export default {
  async fetch() {
    return Response.json({
      results: run(createVerifier, vectors),
      statuses: await handler(createVerifier, withSession, vectors),
    });
  },
};
