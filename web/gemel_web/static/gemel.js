// gemel for a page: loads a model and generates text in a worker that runs Python (worker.js, tab.py). A thin proxy:
// calls become messages, answers become promises and iterators. Knows nothing of templates, sessions or sampling:
// options go to Python by name, and Python reports unknown ones. Only tools run here: they are the page's functions.
//
//     const gemel = new Gemel();
//     await gemel.load("https://example.org/model.gguf", { onProgress: console.log });
//     for await (const piece of gemel.generate("Once upon a time", { max_tokens: 64 })) out.append(piece);

import { Generation, ToolCall } from "./generation.js";
import {
    absolute,
    folderOf,
    listenerOf,
    loadOptionsOf,
    optionsOf,
    refuseUnknown,
    shown,
    unsendable,
} from "./options.js";
import { Rounds } from "./rounds.js";

export { Generation, ToolCall };

const { url: SCRIPT } = import.meta; // bundlers take `new URL(".", import.meta.url)` for a file to copy
const HERE = new URL(".", SCRIPT).href;
const STARTING = ["load", "run", "list", "delete", "fetch", "offers"]; // calls that start the worker when there is none
const BODYLESS = [101, 204, 205, 304]; // statuses of responses without a body
const MAX_THREADS = 256;
const SCHEME = /^[a-z][a-z\d+.-]*:/i; // of https:, hf: and others
const SHARE = "\\\\"; // begins a path of a Windows network
const FILE = /\.gguf([?#].*)?$/is; // the name of a model's file
// Begins a classic worker that only imports modules: Pyodide asks importScripts whether it may use them.
const LIKE_MODULE = "self.importScripts = () => { throw new TypeError('this worker imports modules'); };\n";
const GRACE = 100; // milliseconds that a stopped Python cell has to end before it is interrupted
const AGAIN = 1000; // until it is interrupted once more: the first time, it may not have begun

/** Turn a Python error into an Error: `name` is Python's class, `traceback` Python's traceback. */
function errorOf({ name, message, traceback }) {
    const error = new Error(message);
    error.name = name;
    error.traceback = traceback;
    return error;
}

/** One call that the worker has not answered yet. */
class Call {
    constructor(name, listener) {
        this.name = name;
        this.listener = listener; // {progress, kept, output, part, head, body}: called before the answer
        this.answer = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
        this.answer.catch(() => {}); // a generation's iterator throws it, too; other callers await it
    }
}

/** Turn a call of the worker into a Response: the head resolves the promise, the body is a stream. */
function respond(begin, { method, signal }) {
    return new Promise((resolve, reject) => {
        let body;
        let call;
        let over = false; // the response is complete, has failed, or was cancelled
        const end = (last) => {
            if (over) return;
            over = true;
            signal.removeEventListener("abort", leave);
            last();
        };
        const fail = (error) =>
            end(() => {
                reject(error);
                body.error(error);
            });
        const leave = () => {
            call.stop();
            fail(signal.reason);
        };
        const stream = new ReadableStream({ start: (one) => (body = one), cancel: () => end(() => call.stop()) });
        call = begin({
            head: ({ status, headers }) => {
                const none = method === "HEAD" || BODYLESS.includes(status);
                resolve(new Response(none ? null : stream, { status, headers }));
            },
            body: (piece) => over || body.enqueue(piece),
        });
        signal.addEventListener("abort", leave);
        call.answer.then(() => end(() => body.close()), fail);
    });
}

/** One model in one worker. */
export class Gemel {
    #options;
    #worker = null;
    #ready = false; // Python is running; until then calls wait in #queue
    #queue = [];
    #calls = new Map(); // id -> Call
    #count = 0;
    #loads = 0; // that have begun
    #chats = new Set(); // Rounds that have not ended
    #starting = null; // how far the worker's start is
    #interrupt = null; // shared memory: 2 in it interrupts a Python cell, as Ctrl-C does

    /**
     * @param {{base?: string | URL, threads?: number, models?: string | URL}} options
     *     base: the folder of gemel's files, default this module's; threads: per model, default the browser's CPUs;
     *     models: a folder that serves the models with short names
     */
    constructor(options) {
        const { base, threads, models, ...unknown } = optionsOf("new Gemel", options);
        refuseUnknown("new Gemel", unknown, ["base", "threads", "models"]);
        this.#options = {
            base: folderOf("new Gemel", "base", base ?? HERE),
            threads: threads === undefined ? undefined : countOf(threads),
            models: models === undefined ? undefined : folderOf("new Gemel", "models", models),
        };
        this.info = null;
        this.cache = {
            list: async () => this.#ask("list").answer,
            delete: async (name) => this.#ask("delete", name).answer,
        };
    }

    /** Load a model, and replace the loaded one once the file is found good; resolves to `info`. */
    async load(model, options) {
        const { progress, signal, rest } = loadOptionsOf(options);
        const source = addressOf("load", model);
        if ("draft" in rest && typeof rest.draft !== "boolean") rest.draft = addressOf("load: draft", rest.draft);
        signal?.throwIfAborted();
        this.info = null;
        this.#stopTools();
        const number = ++this.#loads;
        const kept = (info) => {
            if (number === this.#loads) this.info = info; // of the model that was to be replaced
        };
        const { answer, stop } = this.#ask("load", source, rest, { progress, kept });
        signal?.addEventListener("abort", stop, { once: true });
        try {
            const info = await answer;
            if (number === this.#loads) this.info = info; // else a later load has begun
            return info;
        } catch (error) {
            signal?.throwIfAborted();
            throw error;
        } finally {
            signal?.removeEventListener("abort", stop);
        }
    }

    /** Continue a text or ids, without a chat template. @returns {Generation} */
    generate(prompt, options) {
        const given = optionsOf("generate", options);
        return new Generation((listener) => this.#ask("generate", prompt, given, listener));
    }

    /**
     * Answer messages with the model's chat template. Evaluates only messages that the last call did not evaluate.
     * Calls of tools that have a function `run` are run, and the model goes on with their results.
     */
    chat(messages, options) {
        const ask = (...asked) => this.#ask("chat", ...asked);
        const rounds = new Rounds(ask, messages, optionsOf("chat", options));
        return new Generation((listener) => {
            const begun = rounds.begin(listener);
            this.#chats.add(rounds);
            begun.answer.catch(() => {}).then(() => this.#chats.delete(rounds));
            return begun;
        });
    }

    /** @returns {Promise<number>} how many tokens a text, ids or messages have as a prompt, with the chat template */
    async count(prompt, options) {
        return this.#ask("count", prompt, optionsOf("count", options)).answer;
    }

    /** @returns {Promise<Float32Array | Float32Array[]>} one vector per text */
    async embed(texts, options) {
        return this.#ask("embed", texts, optionsOf("embed", options)).answer;
    }

    /** @returns {Promise<object[]>} the models of hf:owner/repo or of a page of the hub: [{name, size, is_meant}, ...] */
    async hubModels(address) {
        return this.#ask("offers", address).answer;
    }

    /**
     * Send a request to the loaded model's OpenAI API, as `fetch` does to a server. Only an address's path and query
     * matter.
     * @returns {Promise<Response>}
     */
    async fetch(input, init) {
        const address = typeof input === "string" ? input.replace(/^[\\/]+/, "/") : input; // "//v1" is a path here
        const request = new Request(input instanceof Request ? input : new URL(address, "http://tab/"), init);
        const { method, headers, signal } = request;
        const { pathname: path, search } = new URL(request.url);
        const body = new Uint8Array(await request.arrayBuffer());
        signal.throwIfAborted();
        const asked = { method, path, query: search.slice(1), headers: [...headers], body };
        return respond((listener) => this.#ask("fetch", asked, {}, listener), request);
    }

    /** Run a Python program in its own namespace; resolves to the repr of its last expression, or null. */
    async run(code, options) {
        const { onOutput, ...unknown } = optionsOf("run", options);
        refuseUnknown("run", unknown, ["onOutput"]);
        const output = listenerOf("run", { onOutput });
        return this.#ask("run", code, {}, { output }).answer;
    }

    /** Stop everything that is running: loads, prefills, generations, embeddings, Python cells. */
    stop() {
        this.#stopTools();
        for (const id of [...this.#calls.keys()]) this.#stop(id);
    }

    /** End the worker and free all memory. The next load starts a new one. */
    close() {
        this.#end({ name: "CancelledError", message: "gemel was closed" });
    }

    // ---- Calls ------------------------------------------------------------------------------------------------------

    #ask(name, subject = null, options = {}, listener = {}) {
        const id = ++this.#count;
        const call = new Call(name, listener);
        const message = { id, name, subject, options };
        this.#calls.set(id, call);
        const handle = { answer: call.answer, stop: () => this.#stop(id) };
        if (this.#worker === null && !STARTING.includes(name)) {
            this.#fail(id, { name: "StateError", message: "no model is loaded: await gemel.load(...) first" });
            return handle;
        }
        try {
            if (this.#worker === null) this.#start();
            if (this.#ready) this.#worker.postMessage(message);
            else this.#queue.push(message);
            if (!this.#ready && this.#starting !== null) listener.progress?.(this.#starting);
        } catch (error) {
            this.#fail(id, unsendable(error, message));
        }
        return handle;
    }

    #fail(id, error) {
        const call = this.#calls.get(id);
        this.#calls.delete(id);
        call?.reject(error instanceof Error ? error : errorOf(error));
    }

    #stop(id) {
        const call = this.#calls.get(id);
        if (call === undefined) return;
        if (!this.#ready) {
            this.#queue = this.#queue.filter((message) => message.id !== id);
            this.#fail(id, { name: "CancelledError", message: `${call.name} was stopped` });
            return;
        }
        this.#worker.postMessage({ stop: id });
        if (call.name === "run" && this.#interrupt !== null) setTimeout(() => this.#interruptCell(id), GRACE);
    }

    /** Stop chats that run tools in the page: the worker does not know of them. */
    #stopTools() {
        for (const chat of this.#chats) if (chat.runsTools) chat.stop();
    }

    #interruptCell(id) {
        if (!this.#calls.has(id) || this.#interrupt === null) return;
        this.#interrupt[0] = 2;
        setTimeout(() => this.#interruptCell(id), AGAIN);
    }

    // ---- The worker -------------------------------------------------------------------------------------------------

    #start() {
        const script = new URL("worker.js", this.#options.base).href;
        const type = self.origin === "null" ? "classic" : "module"; // sandboxed frames can't start workers of modules
        const program = type === "classic" ? `${LIKE_MODULE}${starter(script)}` : starter(script);
        const address = URL.createObjectURL(new Blob([program], { type: "text/javascript" }));
        const worker = new Worker(address, { type, name: "gemel" });
        this.#worker = worker;
        worker.onerror = (event) => {
            event.preventDefault();
            const what = event.message || "the page's Content-Security-Policy must allow `worker-src blob:`";
            if (worker === this.#worker) this.#end({ name: "WorkerError", message: `gemel's worker failed: ${what}` });
        };
        worker.onmessage = ({ data }) => {
            if (worker !== this.#worker) return;
            URL.revokeObjectURL(address);
            this.#hear(data);
        };
    }

    #end(error) {
        this.#worker?.terminate();
        this.#worker = this.#interrupt = this.info = null;
        this.#ready = false;
        this.#starting = null;
        this.#queue = [];
        for (const chat of this.#chats) chat.fail(errorOf(error));
        for (const id of [...this.#calls.keys()]) this.#fail(id, error);
    }

    /** The worker holds this lock while it lives: a page has no other way to notice that a worker has ended. */
    #watch(lock) {
        const worker = this.#worker;
        const ended = () => {
            if (worker !== this.#worker) return;
            this.#end({ name: "WorkerError", message: "gemel's worker has ended: load the model again" });
        };
        try {
            navigator.locks.request(lock, ended).catch(() => {}); // refused: then nobody notices
        } catch {
            // also refused
        }
    }

    #hear(data) {
        if (data.kind === "there") this.#worker.postMessage({ start: this.#options });
        else if (data.kind === "lock") this.#watch(data.lock);
        else if (data.kind === "ready") this.#begin(data.interrupt);
        else if (data.kind === "failed") this.#end(data.error);
        else if (data.kind === "starting") this.#tellLoads(data);
        else this.#hearOf(this.#calls.get(data.id), data);
    }

    #begin(interrupt) {
        this.#ready = true;
        this.#interrupt = interrupt;
        const queue = this.#queue;
        this.#queue = [];
        for (const message of queue) {
            try {
                this.#worker.postMessage(message);
            } catch (error) {
                this.#fail(message.id, unsendable(error, message));
            }
        }
    }

    #tellLoads({ done, total, speed, left }) {
        this.#starting = { stage: "start", done, total, speed, left };
        for (const call of this.#calls.values()) call.listener.progress?.(this.#starting);
    }

    #hearOf(call, { id, kind, ...data }) {
        if (call === undefined) return;
        else if (kind === "progress") call.listener.progress?.(data.progress);
        else if (kind === "output") call.listener.output?.(data.text, data.stream);
        else if (kind === "part") call.listener.part?.(data.part, data.count);
        else if (kind === "head") call.listener.head?.(data);
        else if (kind === "body") call.listener.body?.(data.piece);
        else if (kind === "error") {
            if (data.info) call.listener.kept?.(data.info);
            this.#fail(id, data.error);
        } else {
            this.#calls.delete(id);
            if (this.info !== null && data.memory) this.info = { ...this.info, memory: data.memory };
            call.resolve(data.value ?? null);
        }
    }
}

/**
 * The script of the worker's Blob. A Blob has the page's origin and headers even if gemel's files come from another
 * server. The page's script-src must allow what the Blob imports.
 */
function starter(script) {
    return `import(${JSON.stringify(script)}).catch((error) => {
        const message = "gemel's worker can't be loaded: " + error.message + "; the page's Content-Security-Policy "
            + "must allow ${new URL(script).origin} in script-src, and that server must send Access-Control-Allow-Origin";
        postMessage({ kind: "failed", error: { name: "WorkerError", message } });
    });`;
}

function countOf(threads) {
    const count = typeof threads === "bigint" ? Number(threads) : threads;
    if (Number.isInteger(count) && count >= 1 && count <= MAX_THREADS) return count;
    throw new TypeError(`new Gemel: threads must be an integer from 1 to ${MAX_THREADS}, not ${shown(threads)}`);
}

/**
 * The model for Python. Addresses relative to the page become absolute: those with a slash, and names of .gguf files.
 * Other addresses, short names, and files stay unchanged.
 */
function addressOf(where, model) {
    if (model instanceof URL) return model.href;
    if (model instanceof Blob || model instanceof ArrayBuffer || ArrayBuffer.isView(model)) return model;
    const text = typeof model === "string" ? model.trim() : "";
    if (!text)
        throw new TypeError(
            `${where}: a model is an address, a short name, a File, a Blob or an array of bytes, not ${shown(model)}`,
        );
    if (SCHEME.test(text) || text.startsWith(SHARE)) return text;
    const isRelative = text.includes("/") || FILE.test(text);
    return isRelative ? absolute(where, text) : text;
}
