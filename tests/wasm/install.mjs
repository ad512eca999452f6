// Install gemel in Pyodide in one of three ways and run a Python script:
//   node install.mjs PYODIDE FOLDER WAY URL SCRIPT [ARGUMENT...]
// PYODIDE is the folder of the npm package. FOLDER is the script's working directory and has the files that PYODIDE's
// lock file names. WAY: "lock": loadPackage("gemel") with FOLDER/pyodide-lock.json; "url": loadPackage(URL);
// "micropip": micropip.install(URL). Any error that Pyodide reports is exit code 1.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

// Print only the error: node would also print the line of Pyodide that threw it, which is a megabyte long.
process.on("uncaughtException", (error) => {
    console.error(String(error.stack ?? error).slice(-20_000));
    process.exit(1);
});

const [pyodide, folder, way, url, script, ...rest] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(join(resolve(pyodide), "pyodide.mjs")));
const py = await loadPyodide({
    env: { HOME: "/mnt" },
    lockFileURL: join(resolve(folder), "pyodide-lock.json"),
    packageCacheDir: resolve(folder),
});
const failed = [];
const load = async (names) => {
    await py.loadPackage(names, { errorCallback: (message) => failed.push(message) });
};

if (way === "lock") {
    await load("gemel");
} else if (way === "url") {
    await load(["jinja2", url]);
} else {
    await load(["jinja2", "micropip"]);
    await py.pyimport("micropip").install(url);
}
if (failed.length) throw new Error(failed.join("\n"));

py.mountNodeFS("/mnt", resolve(folder));
py.globals.set("arguments", py.toPy([script, ...rest]));
py.runPython("import os, sys; os.chdir('/mnt'); sys.argv = list(arguments)");
py.runPython(readFileSync(join(folder, script), "utf8"), { filename: script });
