// Makes build/cold.js of what wasm-bindgen generated: node scripts/cold.mjs BINDINGS OUT
//
// Two things are changed in the bindings: the module comes by an ordinary import (what Workers call
// CompiledWasm), and it is instantiated at first use rather than at start. The rest is cold.js beside this
// file. The edits are exact, so that another version of wasm-bindgen fails here rather than in service.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const [bindings, out] = process.argv.slice(2);

function replace(text, from, to) {
  if (text.split(from).length !== 2) {
    throw new Error(`wasm-bindgen's output has changed: expected once in ${bindings}:\n${from}`);
  }
  return text.replace(from, () => to);
}

let text = readFileSync(bindings, "utf8");
text = replace(text, 'import source wasmModule from "./cold_bg.wasm";', 'import wasmModule from "./cold.wasm";');
text = replace(
  text,
  "let wasmInstance = new WebAssembly.Instance(wasmModule, __wbg_get_imports());\n" +
    "let wasm = wasmInstance.exports;\nwasm.__wbindgen_start();",
  "let wasmInstance, wasm;",
);
writeFileSync(bindings, text);

await build({
  stdin: {
    contents: readFileSync(join(dirname(fileURLToPath(import.meta.url)), "cold.js"), "utf8"),
    resolveDir: dirname(bindings),
    sourcefile: "scripts/cold.js",
  },
  bundle: true,
  format: "esm",
  target: "es2022",
  external: ["cloudflare:*", "./cold.wasm"],
  outfile: out,
  logLevel: "warning",
});
