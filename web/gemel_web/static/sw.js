// The service worker of a site with gemel's files; its scope is their folder. It passes requests to v1/* and api/* to a
// page that serves a model (relay.js). It adds the headers for cross-origin isolation to all files, for hosts that can't
// send them. If the network fails, files come from the site's last complete copy (offline.js).
//
// The browser may end and restart it at any time: no state here outlives an answer. It is a classic script, because not
// all browsers support modules in service workers.
"use strict";

const FOLDER = new URL("./", self.location);
const COPY = `gemel-site ${FOLDER.pathname} `; // followed by a version: the names of caches
const API = /^(v1|api)\//; // paths of OpenAI's and Ollama's API
const WHOLE = new URL("whole.json", FOLDER).href; // in a copy: marks it as complete
const COPIED = "Gemel-Copy"; // header of an answer from a copy
const LOCAL = /^(localhost|127\..*|\[::1\])$/; // hosts that need no network
const HOST = "Gemel-Host"; // header: in a request, the host that must answer it; in an answer, the host that did
const PATIENCE = 2000; // milliseconds for pages to report whether they serve
const OWN = 100; // milliseconds in which the requesting page is preferred
const LIMIT = 270_000; // milliseconds to an answer's head: browsers end a service worker after 5 minutes
const ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "cross-origin",
};
const answers = new Set(); // ids of requests that a page is answering
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds, null));

self.oninstall = () => self.skipWaiting();
self.onactivate = (event) => event.waitUntil(self.clients.claim());

self.onmessage = (event) => {
    const { gemel, id } = event.data ?? {};
    if (gemel === "claim") event.waitUntil(self.clients.claim()); // a page that was loaded without this worker
    if (gemel === "alive" && !answers.has(id)) event.source?.postMessage({ gemel: "lost", id }); // of an earlier worker
};

self.onfetch = (event) => {
    const { request } = event;
    const { origin, pathname, search } = new URL(request.url);
    if (origin !== FOLDER.origin || !pathname.startsWith(FOLDER.pathname)) return;
    const path = pathname.slice(FOLDER.pathname.length);
    if (API.test(path)) {
        if (request.headers.get(HOST) !== "native") event.respondWith(relayed(event, path + search));
    } else if (request.method === "GET" && !isDirect(request, path)) {
        event.respondWith(file(request, path));
    }
};

// ---- Requests that a page answers -----------------------------------------------------------------------------------

async function relayed({ request, clientId }, path) {
    const [page, lock] = (await serving(clientId)) ?? [null];
    if (page !== null) return forward(page, lock, request, path);
    if (request.headers.get(HOST) !== "tab") return fetch(request);
    return refusal(503, "no page of this site serves a model: load one first", "no_model");
}

/** A page that serves, as [client, its lock], or null. The requesting page is preferred. */
async function serving(own) {
    const pages = await self.clients.matchAll({ type: "window" });
    const found = pages.map(async (page) => {
        const { port1, port2 } = new MessageChannel();
        const answered = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
        page.postMessage({ gemel: "serves" }, [port2]);
        const lock = await Promise.race([answered, pause(PATIENCE)]);
        return lock === null ? null : [page, lock];
    });
    const mine = found[pages.findIndex(({ id }) => id === own)] ?? null;
    const first = Promise.any(found.map(async (one) => (await one) ?? Promise.reject())).catch(() => null);
    return (await Promise.race([mine, pause(OWN)])) ?? first;
}

/** Pass a request to a page; the answer comes back in messages. */
async function forward(page, lock, request, path) {
    const id = crypto.randomUUID();
    const { port1, port2 } = new MessageChannel();
    const body = await request.arrayBuffer();
    answers.add(id);
    const answer = response(port1, lock, () => answers.delete(id));
    const { method, headers } = request;
    page.postMessage({ gemel: "request", id, method, path, headers: [...headers], body }, [port2, body]);
    return answer;
}

/** Build a response from the head, pieces and end that a page sends through a port. An open page holds the lock. */
function response(port, lock, ended) {
    return new Promise((resolve) => {
        const watch = new AbortController();
        let body;
        const end = () => {
            clearTimeout(timer);
            watch.abort();
            ended();
        };
        const leave = () => {
            port.postMessage("leave");
            end();
        };
        const fail = (message) => {
            end();
            resolve(refusal(503, message, "stopped"));
            body.error(new TypeError(message)); // no effect if the head was not sent
        };
        const stream = new ReadableStream({ start: (one) => (body = one), cancel: leave });
        const timer = setTimeout(() => {
            leave();
            const words =
                "the answer takes more than 4 minutes: browsers wait that long only for streams, so send stream: true";
            resolve(refusal(400, words, "too_long"));
        }, LIMIT);
        port.onmessage = ({ data: { head, piece, error } }) => {
            if (watch.signal.aborted) return;
            if (head) {
                clearTimeout(timer);
                resolve(new Response(head.empty ? null : stream, head));
            } else if (piece) body.enqueue(piece);
            else if (error) fail(error);
            else {
                end();
                body.close();
            }
        };
        const gone = () => fail("the page that answered was closed");
        navigator.locks.request(lock, { signal: watch.signal }, gone).catch(() => {}); // aborted at the answer's end
    });
}

function refusal(status, message, code) {
    const type = status < 500 ? "invalid_request_error" : "server_error";
    return Response.json({ error: { message, type, param: null, code } }, { status, headers: { [HOST]: "tab" } });
}

// ---- Files ----------------------------------------------------------------------------------------------------------

async function file(request, path) {
    const offline = !navigator.onLine && !LOCAL.test(FOLDER.hostname);
    const copied = offline ? await fromCopy(request, path) : null;
    return copied ?? (await fromNetwork(request)) ?? (await fromCopy(request, path)) ?? Response.error();
}

/** Whether the server's answer goes past this worker: models, and what worker.js asks for again if there is none. */
const isDirect = ({ cache }, path) =>
    path.startsWith("models/") || path === "healthz" || (path.endsWith(".wasm") && cache === "no-cache");

/** Whether an answer decides if a page is isolated. All others are passed on as they came: a browser keeps the code that
 * it compiles only with those, and copying takes time. */
const isolates = ({ mode, destination }) => mode === "navigate" || destination.endsWith("worker");

/** The server's file, revalidated each time; null if the server can't be reached. */
async function fromNetwork(request) {
    try {
        const answer = await fetch(request, { cache: "no-cache" });
        return isolates(request) ? isolated(answer) : answer;
    } catch {
        return null;
    }
}

async function fromCopy(request, path) {
    const url = new URL(path.replace(/(^|\/)$/, "$1index.html"), FOLDER).href;
    for (const name of (await caches.keys()).reverse()) {
        if (!name.startsWith(COPY)) continue;
        const copy = await caches.open(name);
        if (!(await copy.match(WHOLE))) continue;
        const found = await copy.match(url);
        if (found === undefined) return null;
        return isolates(request) || path.endsWith(".json") ? isolated(found, { [COPIED]: "" }) : found;
    }
    return null;
}

function isolated(answer, more = {}) {
    if (answer.status === 0) return answer; // a redirect: the browser follows it
    const headers = new Headers(answer.headers);
    for (const [name, value] of Object.entries({ ...ISOLATION, ...more })) headers.set(name, value);
    if (headers.has("Content-Encoding"))
        for (const name of ["Content-Encoding", "Content-Length"]) headers.delete(name);
    const { status, statusText } = answer;
    return new Response(answer.body, { status, statusText, headers });
}
