// What runtimes that take compiled modules make of such an import.
declare module '*.wasm' {
  const module: WebAssembly.Module;
  export default module;
}
