// Run a Python script in Pyodide: node run_pyodide.mjs PYODIDE FOLDER SCRIPT [ARGUMENT...]
// PYODIDE is the folder of the npm package. FOLDER becomes the script's working directory, its site/ comes first on
// sys.path, SCRIPT is a name in it. Python gets the environment's GEMEL_* variables. A Python error is exit code 1.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

// Print only the error: node would also print the line of Pyodide that threw it, which is a megabyte long.
process.on("uncaughtException", (error) => {
    console.error(String(error.stack ?? error).slice(-20_000));
    process.exit(1);
});

const [pyodide, folder, script, ...rest] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(join(resolve(pyodide), "pyodide.mjs")));
const gemel = Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith("GEMEL_")));
const py = await loadPyodide({ args: [script, ...rest], env: { HOME: "/mnt", ...gemel } });
py.mountNodeFS("/mnt", resolve(folder));
py.runPython("import os, sys; os.chdir('/mnt'); sys.path.insert(0, '/mnt/site')");
py.globals.set("arguments", py.toPy([script, ...rest]));
py.runPython("sys.argv = list(arguments)");
py.runPython(readFileSync(join(folder, script), "utf8"), { filename: script });
