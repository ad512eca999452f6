// Starts Pyodide for the tests, in a page, a worker or node alike; runs Python and returns JSON.

/**
 * Start Pyodide and install wheels.
 * @param {{pyodide: string, wheels: string[], runner: string, env: Object<string, string>, jspi: boolean}} options
 *     pyodide: URL of the folder of its files; wheels: URLs; runner: the source of runner.py; jspi: false takes
 *     JavaScript Promise Integration away, as in browsers that lack it
 */
export async function start({ pyodide, wheels, runner, env, jspi }) {
    if (!jspi) {
        delete WebAssembly.Suspending;
        delete WebAssembly.promising;
    }
    const { loadPyodide } = await import(`${pyodide}/pyodide.mjs`);
    const options = { env: { HOME: "/home/pyodide", ...env } };
    if (pyodide.startsWith("http")) options.indexURL = `${pyodide}/`;
    const py = await loadPyodide(options);
    const complaints = [];
    const loaded = await py.loadPackage(wheels, {
        checkIntegrity: false,
        messageCallback: () => {},
        errorCallback: (text) => complaints.push(text),
    });
    if (loaded.length !== wheels.length || complaints.length) throw new Error(`loadPackage: ${complaints.join("; ")}`);
    py.FS.mkdirTree("/work");
    py.FS.chdir("/work");
    py.FS.writeFile("/work/runner.py", runner);
    py.runPython("import sys; sys.path.insert(0, '/work')");
    const run = py.pyimport("runner").run;
    return {
        py,
        /** Run Python with values as its globals; the result or the error is JSON. @returns {Promise<string>} */
        run: (source, values) =>
            "Suspending" in WebAssembly ? run.callPromising(source, values) : run(source, values),
        /** Download a URL to a file. */
        put: async (path, url) => {
            const answer = await fetch(url);
            if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
            py.FS.writeFile(path, new Uint8Array(await answer.arrayBuffer()));
            return null;
        },
    };
}
