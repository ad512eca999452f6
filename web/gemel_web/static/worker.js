// The worker of gemel.js: starts Pyodide from files next to this one, installs the wheels that assets.json names, and
// passes every message to tab.py. Uses no other server.

import { forgetStarts, keptStart, versionOf, wantsStart } from "./kept_start.js";
import { fetchWheels, HERE, install, listed, OPTIONS, unpack, wheelsOf } from "./python.js";

const PACE = 50; // milliseconds between two messages about what has come
const ANSWERS = ["chat", "generate"]; // calls after which a visitor may come back
const IDLE = 3000; // milliseconds without a call
const running = new Map(); // id -> name of a call
const later = { py: null, version: null, isRestored: false, answered: false, timer: 0 }; // about keeping a start
// What a kept memory must not decide: random numbers, and which files there are.
const AGAIN = "import importlib, random; random.seed(); importlib.invalidate_caches()";
// What an answer has imported, beside Python's own modules and those that these import; compiled, it takes little memory.
const IMPORTED = `
import gemel.browser, sys
await gemel.browser.keep()
[name for name in sys.modules if name.partition(".")[0] in ("gemel", "gemel_tab", "jinja2", "markupsafe")]
`;
let tab = null;

/**
 * Fetch WebAssembly past the service worker (sw.js), with which browsers use no code that they kept; with it if that
 * fails. Fetch anything else as it is asked for.
 */
async function directly(fetch, asked, options) {
    const address = String(asked?.url ?? asked);
    if (!address.startsWith(HERE.href) || !address.endsWith(".wasm")) return fetch(asked, options);
    return fetch(asked, { ...options, cache: "no-cache" }).catch(() => fetch(asked, options));
}

/** Counts the bytes of gemel's files that come, and tells the page. */
class Counter {
    #plain = self.fetch;
    #begun = performance.now();
    #fetched = 0;
    #before = 0; // bytes that come in another way
    #total = 0;
    #told = 0; // when

    constructor() {
        self.fetch = async (asked, options) => {
            const answer = await directly(this.#plain, asked, options);
            const counts = answer.ok && answer.body !== null && answer.url.startsWith(HERE.href);
            if (counts) this.#read(answer.clone().body).catch(() => {}); // the caller reports errors
            return answer; // as it came: browsers keep the code that they compile from it
        };
    }

    /** Tell the page from now on: `before` bytes of `total` are not fetched. */
    tell(before, total) {
        [this.#before, this.#total] = [before, total];
        this.#say();
    }

    end() {
        self.fetch = this.#plain;
    }

    async #read(body) {
        for await (const { byteLength } of body) {
            this.#fetched += byteLength;
            if (this.#total > 0 && performance.now() - this.#told >= PACE) this.#say();
        }
    }

    /** `left` is in seconds. */
    #say() {
        this.#told = performance.now();
        const [total, done] = [this.#total, Math.min(this.#total, this.#before + this.#fetched)];
        const speed = (this.#fetched * 1000) / Math.max(1, this.#told - this.#begun);
        const left = speed > 0 ? (total - done) / speed : null;
        self.postMessage({ kind: "starting", done, total, speed, left });
    }
}

/**
 * Fetch and compile Pyodide's core at once. Pyodide asks for it later, by the same functions.
 * @returns {() => void}  ends it
 */
function compileCore() {
    const [plain, instantiate] = [self.fetch, WebAssembly.instantiateStreaming];
    const address = new URL("pyodide/pyodide.asm.wasm", HERE).href;
    const answer = plain(address);
    const core = WebAssembly.compileStreaming(answer);
    core.catch(() => {}); // Pyodide's call reports it
    self.fetch = (asked, options) => (String(asked?.url ?? asked) === address ? answer : plain(asked, options));
    WebAssembly.instantiateStreaming = async (_, imports) => {
        const module = await core;
        return { module, instance: await WebAssembly.instantiate(module, imports) };
    };
    return () => {
        self.fetch = plain;
        WebAssembly.instantiateStreaming = instantiate;
    };
}

/** Start Python with gemel installed: {py, assets, total, version}. All that it needs is fetched at the same time. */
async function prepared() {
    const counter = new Counter();
    const stopCompiling = compileCore();
    try {
        const code = [import(new URL("pyodide/pyodide.mjs", HERE)), import(new URL("pyodide/pyodide.asm.mjs", HERE))];
        const site = await listed();
        const { assets, program } = site;
        const version = versionOf(site).catch(() => null); // no secure context: nothing can be kept
        const kept = keptStart(version);
        const wheels = fetchWheels(assets, "tab");
        wheels.catch(() => {}); // awaited below
        const sizeOf = (files) => files.reduce((sum, { size }) => sum + size, 0);
        const total = sizeOf([...assets.pyodide, ...wheelsOf(assets, "tab")]);
        counter.tell(sizeOf(assets.pyodide.filter(({ name }) => name.endsWith(".mjs"))), total);
        const [{ loadPyodide }, { default: create }] = await Promise.all(code);
        const py = await startPython(loadPyodide, create, await kept);
        install(py, await wheels, program);
        if (!later.isRestored) await py.runPythonAsync("import gemel.browser; await gemel.browser.restore()");
        return { py, assets, total, version };
    } finally {
        stopCompiling();
        counter.end();
    }
}

/** Start Python from what an earlier start kept, or from nothing. */
async function startPython(loadPyodide, create, kept) {
    if (kept === null) return loadPyodide(OPTIONS);
    const createPyodideModule = async (settings) => {
        const module = await create(settings);
        module.growMemory(kept.length); // Pyodide copies it there, and does not look for room
        return module;
    };
    try {
        const py = await loadPyodide({ ...OPTIONS, createPyodideModule, _loadSnapshot: kept });
        py.runPython(AGAIN);
        later.isRestored = true;
        return py;
    } catch {
        await forgetStarts().catch(() => {}); // of no use in this browser
        return loadPyodide(OPTIONS);
    }
}

/** @param {{threads?: number, models?: string}} options */
async function start({ threads, models }) {
    const { py, assets, total, version } = await preparing;
    const installServer = async () => unpack(py, await fetchWheels(assets, "server"));
    const shares = self.crossOriginIsolated && "SharedArrayBuffer" in self; // WebKitGTK isolates pages, but lacks it
    const interrupt = shares ? new Uint8Array(new SharedArrayBuffer(1)) : null;
    tab = py.pyimport("gemel_tab.tab").Tab(post, listen(py, interrupt), installServer, threads, models);
    self.postMessage({ kind: "starting", done: total, total, speed: 0, left: null });
    self.postMessage({ kind: "ready", interrupt });
    if (!later.isRestored) Object.assign(later, { py, version: await version });
}

/** Tell the page what Python says. */
function post(message, transfer) {
    self.postMessage(message, transfer ?? []);
    if (message.kind !== "value" && message.kind !== "error") return;
    later.answered ||= message.kind === "value" && ANSWERS.includes(running.get(message.id));
    running.delete(message.id);
    if (running.size === 0 && later.answered && later.version !== null) later.timer = setTimeout(keepLater, IDLE);
}

/** Have another worker keep Python's start for later visits, once. */
async function keepLater() {
    const { py, version } = later;
    later.version = null;
    if (!(await wantsStart(version).catch(() => false))) return;
    const modules = (await py.runPythonAsync(IMPORTED)).toJs();
    const program = `import(${JSON.stringify(new URL("start_maker.js", HERE))});`;
    const address = URL.createObjectURL(new Blob([program], { type: "text/javascript" }));
    const maker = new Worker(address, { type: "module", name: "gemel-start" });
    maker.onmessage = () => maker.postMessage({ version, modules });
    maker.onerror = (event) => event.preventDefault(); // a page that may not: later starts take as long as this one
}

/** Return a function that enables and disables interrupts by the page: only a Python cell may be interrupted. */
function listen(py, interrupt) {
    return (listening) => {
        if (interrupt === null) return;
        interrupt[0] = 0;
        py.setInterruptBuffer(listening ? interrupt : undefined);
    };
}

function fail(error) {
    const message = `gemel's worker failed: ${error?.message ?? error}`;
    self.postMessage({ kind: "failed", error: { name: "WorkerError", message } });
    if (later.isRestored) forgetStarts().catch(() => {}); // perhaps it is to blame
}

self.onmessage = ({ data }) => {
    if (data.start) {
        start(data.start).catch(fail);
        return;
    }
    clearTimeout(later.timer);
    if (data.name !== undefined) running.set(data.id, data.name);
    try {
        tab.handle(data);
    } catch (error) {
        fail(error); // tab.py reports the errors of calls itself: this one is fatal
    }
};
self.onunhandledrejection = (event) => fail(event.reason);
const preparing = prepared();
preparing.catch(() => {}); // start() reports it
self.postMessage({ kind: "there" });

/** Hold a lock while this worker lives. Where locks are refused, the page does not notice the end of its worker. */
async function live() {
    const lock = `gemel-${crypto.randomUUID()}`;
    await self.navigator.locks.request(lock, () => {
        self.postMessage({ kind: "lock", lock });
        return new Promise(() => {});
    });
}
live().catch(() => {});
