// Writes the compiled module into JavaScript: dist/wasm/module.js. `cargo xtask js` runs this.
//
// A file next to the JavaScript would have to be found in another way by every runtime and bundler,
// and waited for. As text it is a third larger, which compression takes away again.

import { readFileSync, writeFileSync } from 'node:fs';

const folder = new URL('./dist/wasm/', import.meta.url);
const base64 = readFileSync(new URL('gatepost_session_bg.wasm', folder)).toString('base64');

writeFileSync(
  new URL('module.js', folder),
  `const BASE64 =
  '${base64}';

export function module() {
  const bytes = Uint8Array.from(atob(BASE64), (character) => character.charCodeAt(0));
  return new WebAssembly.Module(bytes);
}
`,
);
writeFileSync(
  new URL('module.d.ts', folder),
  `/** Compiles the session crate. */
export function module(): WebAssembly.Module;
`,
);
