// The package, for every runtime that compiles WebAssembly from bytes: Node.js, Deno, Bun and
// browsers. The module is part of the JavaScript, so there is no file to find and nothing to wait
// for, with or without a bundler.

import { initSync } from './wasm/gatepost_session.js';
import { module } from './wasm/module.js';

initSync({ module: module() });

export * from './api.js';
