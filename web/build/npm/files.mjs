#!/usr/bin/env node
// npx gemel-files FOLDER: copies what gemel's worker loads (its modules, Pyodide, wheels) into a folder of a site, so that
// the page needs no other server. Pass the folder's address as `base`.
import { cp, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const NOT_SERVED = ["package.json", "README.md", "files.mjs"];
const source = dirname(fileURLToPath(import.meta.url));
const [folder, ...more] = process.argv.slice(2);
if (!folder || folder.startsWith("-") || more.length > 0) {
    console.error("usage: gemel-files FOLDER\nCopies gemel's files for a page into FOLDER, such as public/gemel.");
    process.exit(2);
}
await mkdir(folder, { recursive: true });
await cp(source, folder, {
    recursive: true,
    filter: (path) => !NOT_SERVED.some((name) => path === join(source, name)),
});
console.log(`gemel's files are in ${folder}`);
