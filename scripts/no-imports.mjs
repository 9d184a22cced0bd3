// Fails when a Wasm module imports anything: node scripts/no-imports.mjs FILE
// The core must be what it is alone; `getrandom` and `js-sys` like to smuggle bindings in.
import { readFileSync } from "node:fs";

const file = process.argv[2];
const imports = WebAssembly.Module.imports(new WebAssembly.Module(readFileSync(file)));
if (imports.length > 0) {
  console.error(`${file} must import nothing, but it imports:`);
  for (const { module, name, kind } of imports) console.error(`  ${kind} ${module}.${name}`);
  console.error("Find out who brings it: cargo tree --package turnpike-core --target wasm32-unknown-unknown");
  process.exit(1);
}
