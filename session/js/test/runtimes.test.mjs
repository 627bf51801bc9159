// In Deno, Bun and workerd (what Cloudflare Workers run on), the cookies of testdata/cookies.json
// come out as written there, and the adapter for the Fetch API works.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { testVectors } from './world.mjs';

const PACKAGE = fileURLToPath(new URL('../', import.meta.url));
const SCRIPT = join(PACKAGE, 'test/runtime.mjs');

/** Safety net for a machine that is busy with other tests. */
const PATIENCE_MS = 120_000;

/**
 * The program in the package for this platform: the one of the general package is put in place by
 * an install script, and none is run here.
 */
function program(scope, file) {
  const folder = join(PACKAGE, 'runtimes/node_modules', scope);
  const [platform] = readdirSync(folder).sort();
  return join(folder, platform, file);
}

function runScript(command, args) {
  const output = execFileSync(command, [...args, SCRIPT], {
    cwd: PACKAGE,
    encoding: 'utf8',
    timeout: PATIENCE_MS,
    env: { ...process.env, DENO_NO_UPDATE_CHECK: '1' },
  });
  return JSON.parse(output);
}

function check(runtime, { results, statuses }) {
  testVectors(runtime, results);
  test(`${runtime}: handler of Request and Response`, () => {
    assert.deepEqual(statuses, [200, '248289761001', 401]);
  });
}

check('Deno', runScript(program('@deno', 'deno'), ['run', '--no-prompt', '--no-config']));
check('Bun', runScript(program('@oven', 'bin/bun'), ['run']));
check('workerd', await askWorker());

/** Runs `worker.mjs` with the modules that a bundler would have uploaded. */
async function askWorker() {
  const folder = mkdtempSync(join(tmpdir(), 'gatepost-workerd-'));
  const port = await freePort();
  const config = join(folder, 'config.capnp');
  writeFileSync(config, workerConfig(port, folder));
  const worker = spawn(program('@cloudflare', 'bin/workerd'), ['serve', config], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const ended = new Promise((_resolve, reject) => {
    worker.once('error', reject);
    worker.once('exit', (status) => reject(new Error(`workerd ended: ${status}`)));
  });
  try {
    return await Promise.race([ended, answer(`http://127.0.0.1:${port}/`)]);
  } finally {
    ended.catch(() => {});
    worker.kill();
    rmSync(folder, { recursive: true });
  }
}

function workerConfig(port, folder) {
  const embed = (kind, name, file) =>
    `(name = "${name}", ${kind} = embed "${relative(folder, join(PACKAGE, file ?? name))}")`;
  const scripts = readdirSync(join(PACKAGE, 'dist'), { recursive: true })
    .filter((file) => file.endsWith('.js'))
    .map((file) => `dist/${file}`);
  const modules = [
    // The first is the worker.
    ...['test/worker.mjs', 'test/vectors.mjs', 'test/handler.mjs', ...scripts].map((file) =>
      embed('esModule', file),
    ),
    embed('wasm', 'dist/wasm/gatepost_session_bg.wasm'),
    embed('json', 'testdata/cookies.json', '../../testdata/cookies.json'),
  ];
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [ (name = "main", worker = .main) ],
  sockets = [ (name = "http", address = "127.0.0.1:${port}", http = (), service = "main") ],
);

const main :Workerd.Worker = (
  compatibilityDate = "2026-01-01",
  modules = [
    ${modules.join(',\n    ')}
  ],
);
`;
}

async function answer(url) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      const response = await fetch(url);
      assert.equal(response.status, 200, await response.clone().text());
      return await response.json();
    } catch (error) {
      if (error instanceof assert.AssertionError || Date.now() > deadline) throw error;
      await setTimeout(25);
    }
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
