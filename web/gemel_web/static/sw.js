// The service worker of a site with gemel's files; its scope is their folder. Requests for v1/* there it hands to a
// page that serves a model (relay.js). To all files it adds the headers that make a page cross-origin isolated, for
// hosts that can't send them. Where the network fails, files come from the site's last complete copy (offline.js).
//
// The browser ends it when it likes and starts it again: nothing here outlives an answer. It is no module, since not
// all browsers take one.
"use strict";

const FOLDER = new URL("./", self.location);
const COPY = `gemel-site ${FOLDER.pathname} `; // and a version: names of caches
const WHOLE = new URL("whole.json", FOLDER).href; // in a copy: it is complete
const COPIED = "Gemel-Copy"; // header of an answer from a copy
const LOCAL = /^(localhost|127\..*|\[::1\])$/; // hosts that are there without a network
const HOST = "Gemel-Host"; // header: of a request, who has to answer it; of an answer, who did
const PATIENCE = 2000; // milliseconds for pages to say whether they serve
const OWN = 100; // of which the page that asks is preferred
const LIMIT = 270_000; // to an answer's head: browsers end a worker that takes longer than 5 minutes
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
    if (gemel === "claim") event.waitUntil(self.clients.claim()); // a page that was loaded around this worker
    if (gemel === "alive" && !answers.has(id)) event.source?.postMessage({ gemel: "lost", id }); // of a worker before
};

self.onfetch = (event) => {
    const { request } = event;
    const { origin, pathname, search } = new URL(request.url);
    if (origin !== FOLDER.origin || !pathname.startsWith(FOLDER.pathname)) return;
    const path = pathname.slice(FOLDER.pathname.length);
    if (path.startsWith("v1/")) {
        if (request.headers.get(HOST) !== "native") event.respondWith(relayed(event, path + search));
    } else if (request.method === "GET" && !path.startsWith("models/") && path !== "healthz") {
        event.respondWith(file(request, path));
    }
};

// ---- Requests that a page answers -----------------------------------------------------------------------------------

async function relayed({ request, clientId }, path) {
    const [page, lock] = (await serving(clientId)) ?? [null];
    if (page !== null) return asked(page, lock, request, path);
    if (request.headers.get(HOST) !== "tab") return fetch(request);
    return refusal(503, "no page of this site serves a model: load one first", "no_model");
}

/** A page that serves, as [client, its lock], or null. The one that asks comes first. */
async function serving(own) {
    const pages = await self.clients.matchAll({ type: "window" });
    const found = pages.map(async (page) => {
        const { port1, port2 } = new MessageChannel();
        const told = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
        page.postMessage({ gemel: "serves" }, [port2]);
        const lock = await Promise.race([told, pause(PATIENCE)]);
        return lock === null ? null : [page, lock];
    });
    const mine = found[pages.findIndex(({ id }) => id === own)] ?? null;
    const first = Promise.any(found.map(async (one) => (await one) ?? Promise.reject())).catch(() => null);
    return (await Promise.race([mine, pause(OWN)])) ?? first;
}

/** Hand a request to a page; its answer comes back by messages. */
async function asked(page, lock, request, path) {
    const id = crypto.randomUUID();
    const { port1, port2 } = new MessageChannel();
    const body = await request.arrayBuffer();
    answers.add(id);
    const answer = response(port1, lock, () => answers.delete(id));
    const { method, headers } = request;
    page.postMessage({ gemel: "request", id, method, path, headers: [...headers], body }, [port2, body]);
    return answer;
}

/** The response whose head, pieces and end come through a port, from a page that holds a lock while it is there. */
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
            body.error(new TypeError(message)); // no effect on a body that nobody has
        };
        const stream = new ReadableStream({ start: (one) => (body = one), cancel: leave });
        const timer = setTimeout(() => {
            leave();
            const words = "it takes over 4 minutes, for which browsers wait in streams only: send stream: true";
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
        navigator.locks.request(lock, { signal: watch.signal }, gone).catch(() => {}); // aborted, when all has come
    });
}

function refusal(status, message, code) {
    const type = status < 500 ? "invalid_request_error" : "server_error";
    return Response.json({ error: { message, type, param: null, code } }, { status, headers: { [HOST]: "tab" } });
}

// ---- Files ----------------------------------------------------------------------------------------------------------

async function file(request, path) {
    const offline = !navigator.onLine && !LOCAL.test(FOLDER.hostname);
    const copied = offline ? await fromCopy(path) : null;
    return copied ?? (await fromNetwork(request)) ?? (await fromCopy(path)) ?? Response.error();
}

/** What the server has, which is asked each time whether it changed; null where it can't be reached. */
async function fromNetwork(request) {
    try {
        return isolated(await fetch(request, { cache: "no-cache" }));
    } catch {
        return null;
    }
}

async function fromCopy(path) {
    const url = new URL(path.replace(/(^|\/)$/, "$1index.html"), FOLDER).href;
    for (const name of (await caches.keys()).reverse()) {
        if (!name.startsWith(COPY)) continue;
        const copy = await caches.open(name);
        if (!(await copy.match(WHOLE))) continue;
        const found = await copy.match(url);
        return found === undefined ? null : isolated(found, { [COPIED]: "" });
    }
    return null;
}

function isolated(answer, more = {}) {
    if (answer.status === 0) return answer; // a redirection, which the browser follows
    const headers = new Headers(answer.headers);
    for (const [name, value] of Object.entries({ ...ISOLATION, ...more })) headers.set(name, value);
    if (headers.has("Content-Encoding"))
        for (const name of ["Content-Encoding", "Content-Length"]) headers.delete(name);
    const { status, statusText } = answer;
    return new Response(answer.body, { status, statusText, headers });
}
