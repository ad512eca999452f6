// A dedicated worker that has Pyodide: {id, call, args} comes in, {id, value} or {id, error} goes back.
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
