// A dedicated worker with Pyodide: receives {id, call, args}, posts {id, value} or {id, error}.
import { start } from "./host.js";

let host = null;

self.onmessage = async ({ data: { id, call, args } }) => {
    try {
        if (call === "start") {
            host = await start(...args);
            self.py = host.py;
            self.postMessage({ id, value: null });
        } else {
            self.postMessage({ id, value: await host[call](...args) });
        }
    } catch (error) {
        self.postMessage({ id, error: String(error.stack || error) });
    }
};
