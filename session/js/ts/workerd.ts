// The package, for runtimes that do not compile WebAssembly from bytes but take modules that were
// compiled when the worker was uploaded: Cloudflare Workers. Chosen by the export condition
// `workerd`.

import { initSync } from './wasm/gatepost_session.js';
import module from './wasm/gatepost_session_bg.wasm';

initSync({ module });

export * from './api.js';
