// Checks which uses of the package the types allow, and which they refuse.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const PACKAGE = fileURLToPath(new URL('../', import.meta.url));

test('types: test/types/ compiles, with the errors that it expects', () => {
  const { status, stdout } = spawnSync(
    process.execPath,
    ['node_modules/typescript/bin/tsc', '--project', 'test/types'],
    { cwd: PACKAGE, encoding: 'utf8' },
  );
  assert.equal(status, 0, stdout);
});
