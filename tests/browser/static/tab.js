// A page that has Pyodide, in its own thread or in a worker (tab.html?where=main|worker), driven by the tests:
// begin(call, args) returns a number at once, under which results[number] appears: {value} or {error}.
import { start } from "./host.js";

const where = new URLSearchParams(location.search).get("where");
const results = {};
let host = null;
let worker = null;
let count = 0;

function askWorker(id, call, args) {
    if (worker === null) {
        worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
        window.worker = worker;
        worker.onerror = (event) => console.error(`worker: ${event.message} (${event.filename}:${event.lineno})`);
        worker.addEventListener("message", ({ data }) => {
            if (data && "id" in data) results[data.id] = data;
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
        results[id] = { id, value };
    } catch (error) {
        results[id] = { id, error: String(error.stack || error) };
    }
}

window.results = results;
window.begin = (call, args) => {
    const id = ++count;
    if (where === "worker") askWorker(id, call, args);
    else setTimeout(() => callHere(id, call, args), 0);
    return id;
};
