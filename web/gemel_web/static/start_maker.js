// A worker that starts Python once more, while nothing else is to do, imports what an answer has needed, and keeps the
// memory for later starts (kept_start.js).
import { keepStart } from "./kept_start.js";
import { fetchWheels, HERE, install, listed, OPTIONS } from "./python.js";

// What was compiled before is imported without its source, which would fill memory that is kept.
const IMPORT = `
import gc, importlib
import gemel.browser
await gemel.browser.restore()
for name in modules:
    importlib.import_module(name)
del name, modules
gc.collect()
`;

self.onmessage = async ({ data: { version, modules } }) => {
    try {
        const { assets, program } = await listed();
        const { loadPyodide } = await import(new URL("pyodide/pyodide.mjs", HERE));
        const [py, wheels] = await Promise.all([
            loadPyodide({ ...OPTIONS, _makeSnapshot: true }),
            fetchWheels(assets, "tab"),
        ]);
        install(py, wheels, program);
        py.globals.set("modules", py.toPy(modules));
        await py.runPythonAsync(IMPORT);
        await keepStart(version, py.makeMemorySnapshot());
    } catch (error) {
        console.debug(`gemel keeps no start of Python: ${error.message}`); // the next start takes as long as this one
    }
    self.close();
};
self.postMessage("there");
