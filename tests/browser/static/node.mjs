// Pyodide under node, driven over stdin: a line of JSON {call, args} comes in, "\x1e" and a line of JSON goes back.
// Everything else on stdout is Python's own.
import { createInterface } from "node:readline";
import { start } from "./host.js";

let host = null;

async function answer({ call, args }) {
    try {
        if (call === "start") {
            host = await start(...args);
            return { value: null };
        }
        return { value: await host[call](...args) };
    } catch (error) {
        return { error: String(error.stack || error) };
    }
}

for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`\x1e${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}
process.exit(0);
