// Pyodide under node, driven through stdin: reads one line of JSON {call, args}, writes "\x1e" and one line of JSON.
// All other output on stdout comes from Python.
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
