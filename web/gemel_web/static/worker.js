// The worker of gemel.js: starts Pyodide from files next to this one, installs the wheels that assets.json names, and
// passes every message to tab.py. Uses no other server.

const HERE = new URL(".", import.meta.url);
const PROGRAM = ["tab.py", "calls.py", "logs.py"]; // the modules of a package
const PACE = 50; // milliseconds between two messages about what has come
let tab = null;

/** Fetch a file next to this one; its bytes must have the hash in assets.json. */
async function get(name, sha256) {
    const url = new URL(name, HERE).href;
    const integrity = sha256 === undefined ? "" : `sha256-${base64(sha256)}`;
    let answer;
    try {
        answer = await fetch(url, { integrity, cache: "no-cache" }); // revalidate: all files must have one version
    } catch (error) {
        throw new Error(`${url} can't be fetched, or is not the file that assets.json names (${error.message})`);
    }
    if (!answer.ok) throw new Error(`${url}: the server answers ${answer.status}`);
    return answer;
}

/**
 * Tell how many bytes of gemel's files have come: `done` and what is fetched from now on. `left` is in seconds.
 * @returns {() => void}  ends it
 */
function count(done, total) {
    const [plain, begun, before] = [self.fetch, performance.now(), done];
    let told = 0; // when
    const tell = () => {
        const speed = ((done - before) * 1000) / Math.max(1, performance.now() - begun);
        const left = speed > 0 ? Math.max(0, total - done) / speed : null;
        self.postMessage({ kind: "starting", done: Math.min(done, total), total, speed, left });
    };
    const add = (piece, controller) => {
        done += piece.byteLength;
        controller.enqueue(piece);
        if (performance.now() - told < PACE) return;
        told = performance.now();
        tell();
    };
    tell();
    self.fetch = async (...asked) => {
        const answer = await plain(...asked);
        if (!answer.ok || answer.body === null || !answer.url.startsWith(HERE.href)) return answer;
        const { status, statusText, headers } = answer;
        return new Response(answer.body.pipeThrough(new TransformStream({ transform: add })), {
            status,
            statusText,
            headers,
        });
    };
    return () => (self.fetch = plain);
}

const base64 = (hex) => btoa(String.fromCharCode(...hex.match(/../g).map((pair) => parseInt(pair, 16))));

/** @param {{threads?: number, models?: string}} options */
async function start({ threads, models }) {
    const [assets, program] = await Promise.all([
        get("assets.json").then((answer) => answer.json()),
        Promise.all(PROGRAM.map(async (name) => (await get(name)).text())),
    ]);
    const wheelsOf = (group) => assets.wheels.filter((wheel) => wheel.group === group);
    const sizeOf = (files) => files.reduce((sum, { size }) => sum + size, 0);
    const total = sizeOf([...assets.pyodide, ...wheelsOf("tab")]);
    const stopCounting = count(sizeOf(assets.pyodide.filter(({ name }) => name.endsWith(".mjs"))), total); // not fetched
    const bytes = async ({ name, sha256 }) => (await get(name, sha256)).arrayBuffer();
    const fetched = Promise.all(wheelsOf("tab").map(bytes));
    fetched.catch(() => {}); // awaited below
    const { loadPyodide } = await import(new URL("pyodide/pyodide.mjs", HERE));
    const py = await loadPyodide({
        indexURL: new URL("pyodide/", HERE).href,
        env: { HOME: "/home/pyodide" },
        stdin: () => null, // end of input: a worker has no keyboard
    }).finally(stopCounting);
    const site = py.runPython("import sysconfig; sysconfig.get_path('purelib')");
    const unpack = (wheels) => {
        for (const wheel of wheels) py.unpackArchive(wheel, "whl", { extractDir: site });
    };
    const installServer = async () => unpack(await Promise.all(wheelsOf("server").map(bytes)));
    unpack(await fetched);
    py.FS.mkdir(`${site}/gemel_tab`);
    for (const [i, name] of PROGRAM.entries()) py.FS.writeFile(`${site}/gemel_tab/${name}`, program[i]);
    const shares = self.crossOriginIsolated && "SharedArrayBuffer" in self; // WebKitGTK isolates pages, but lacks it
    const interrupt = shares ? new Uint8Array(new SharedArrayBuffer(1)) : null;
    tab = py.pyimport("gemel_tab.tab").Tab(post, listen(py, interrupt), installServer, threads, models);
    self.postMessage({ kind: "starting", done: total, total, speed: 0, left: null });
    self.postMessage({ kind: "ready", interrupt });
}

const post = (message, transfer) => self.postMessage(message, transfer ?? []);

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
}

self.onmessage = ({ data }) => {
    if (data.start) {
        start(data.start).catch(fail);
        return;
    }
    try {
        tab.handle(data);
    } catch (error) {
        fail(error); // tab.py reports the errors of calls itself: this one is fatal
    }
};
self.onunhandledrejection = (event) => fail(event.reason);
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
