// Runs the download worker's script under node with short limits, against a server that behaves as the scenario says.
// Prints one JSON object: the script's messages, the server's requests, and the most listeners on a signal.
//
//     node fetch_bed.mjs <script> <scenario>
//
// A scenario that is JSON says what the answers are: {parts: [headers of each 206, the last one repeated],
// wholes: [headers of each 200], lengths: [bytes after which each 200 breaks off], bytes: [what each 200 is full of],
// starts: what each 200 begins with}.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { MessageChannel } from "node:worker_threads";

const [, , script, scenario] = process.argv;
const DATA = Buffer.alloc(2 ** 18 * 40 + 1000, 7); // 41 blocks
DATA.write("GGUF");
const asked = [];
const posted = [];
const bytes = new Set(); // what posted blocks are full of, after the magic
const answers = scenario.startsWith("{") ? JSON.parse(scenario) : null;
const sent = { parts: 0, wholes: 0 };
const listening = new Map(); // signal -> listeners now

for (const [name, change] of [
    ["addEventListener", 1],
    ["removeEventListener", -1],
]) {
    const original = AbortSignal.prototype[name];
    AbortSignal.prototype[name] = function (...args) {
        listening.set(this, (listening.get(this) ?? 0) + change);
        return original.apply(this, args);
    };
}

const nth = (list, i) => list?.[Math.min(i, list.length - 1)];

function answer({ range }, response) {
    const [, from, to] = /bytes=(\d+)-(\d+)/.exec(range ?? "") ?? [];
    if (from !== undefined && answers.parts) {
        const part = DATA.subarray(Number(from), Number(to) + 1);
        const span = `bytes ${from}-${Number(from) + part.length - 1}/${DATA.length}`;
        const head = { "Content-Range": span, "Content-Length": part.length, ...nth(answers.parts, sent.parts++) };
        return response.writeHead(206, head).end(part);
    }
    const i = sent.wholes++;
    const data = Buffer.alloc(DATA.length, nth(answers.bytes, i) ?? DATA.at(-1));
    data.write(answers.starts ?? "GGUF");
    const length = answers.lengths?.[i] ?? data.length;
    response.writeHead(200, { "Content-Length": data.length, ...nth(answers.wholes, i) });
    if (length === data.length) response.end(data);
    else response.write(data.subarray(0, length), () => setTimeout(() => response.destroy(), 50));
}

const server = createServer(({ method, headers }, response) => {
    asked.push(headers.range ? `${method} part` : method);
    if (answers) return void answer(headers, response);
    const heads = asked.filter((one) => one === "HEAD").length;
    const send = (status, more, body) => response.writeHead(status, { ETag: '"1"', ...more }).end(body);
    if (scenario === "head") {
        if (method === "GET")
            send(200, {}, DATA); // chunked: no Content-Length
        else if (heads > 1) send(200, { "Content-Length": DATA.length });
        return; // the first HEAD is never answered
    }
    const [, from, to] = /bytes=(\d+)-(\d+)/.exec(headers.range);
    const part = DATA.subarray(Number(from), Number(to) + 1);
    const size = scenario === "changed" && asked.length > 1 ? 999_999_999 : DATA.length;
    const range = `bytes ${from}-${Number(from) + part.length - 1}/${size}`;
    if (size !== DATA.length) response.once("close", () => (cutOff = !response.writableFinished));
    if (size !== DATA.length) return void response.writeHead(206, { ETag: '"1"', "Content-Range": range }).write(part);
    send(206, { "Content-Range": range, "Content-Length": part.length }, part);
});
let cutOff = null; // the client aborted an incomplete answer

function end(what) {
    const most = Math.max(0, ...listening.values());
    console.log(JSON.stringify({ posted, asked, most, cutOff, what, bytes: [...bytes] }));
    process.exit(0);
}

server.listen(0, "127.0.0.1", () => {
    const { port1, port2 } = new MessageChannel();
    globalThis.gemelPort = port2;
    const url = `http://127.0.0.1:${server.address().port}/model.gguf`;
    const blocks = Array.from({ length: 41 }, (_, i) => [0, 40 - i]).flat(); // backwards: one request per block
    port1.on("message", ({ type, data, text }) => {
        posted.push(type === "error" ? text : type);
        if (type === "block") bytes.add(data[4]).add(data.at(-1));
        if (type === "opened") port1.postMessage({ type: "order", blocks, final: true });
        if (type === "block")
            port1.postMessage({ type: "ack", size: data.length, buffers: [data.buffer] }, [data.buffer]);
        if (["done", "error", "changed", "refused"].includes(type)) setTimeout(end, 300, type);
    });
    (0, eval)(readFileSync(script, "utf8").replace("SILENCE = 30_000", "SILENCE = 300"));
    const file = { url, key: "key", name: "model", size: null, tree: null };
    port1.postMessage({ type: "open", files: [file], cache: false });
    setTimeout(end, 20_000, "timeout");
});
