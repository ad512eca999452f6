// A page with Pyodide in its main thread or in a worker (tab.html?where=main|worker), driven by the tests: they call
// begin(id, call, args), which returns immediately, and provide answer({id, value}) or answer({id, error}), which is
// called at the end; then console.debug("answered") wakes a test that waits.
import { start } from "./host.js";

const where = new URLSearchParams(location.search).get("where");
let host = null;
let worker = null;

async function provide(answer) {
    await window.answer(answer);
    console.debug("answered");
}

function askWorker(id, call, args) {
    if (worker === null) {
        worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
        window.worker = worker;
        worker.onerror = (event) => console.error(`worker: ${event.message} (${event.filename}:${event.lineno})`);
        worker.addEventListener("message", ({ data }) => {
            if (data && "id" in data) provide(data);
        });
    }
    worker.postMessage({ id, call, args });
}

async function callHere(id, call, args) {
    try {
        let value = null;
        if (call === "start") {
            host = await start(...args);
            window.py = host.py;
        } else {
            value = await host[call](...args);
        }
        provide({ id, value });
    } catch (error) {
        provide({ id, error: String(error.stack || error) });
    }
}

window.begin = (id, call, args) => {
    if (where === "worker") askWorker(id, call, args);
    else setTimeout(() => callHere(id, call, args), 0);
};
