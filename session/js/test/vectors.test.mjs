// In Node.js, the cookies of testdata/cookies.json come out as written there.

import { createVerifier } from '@gatepost/session';

import { run } from './vectors.mjs';
import { testVectors, vectors } from './world.mjs';

testVectors('Node.js', run(createVerifier, vectors));
