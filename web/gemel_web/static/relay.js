// Joins a page to the service worker beside this file (sw.js), so that any client of OpenAI's API in the page reaches
// the model in its tab by fetch("v1/..."), the page is cross-origin isolated on any host, and the site works offline.
//
//     const relay = connect(gemel);
//     console.log(await relay.ready, await relay.offline);

import { keep } from "./offline.js";

const FOLDER = new URL(".", import.meta.url);
const ALIVE = 10_000; // milliseconds: a browser may end a worker that hears nothing for 30 s
const PATIENCE = 5000; // for the worker to take the page over
const RELOADED = "gemel: reloaded to be isolated"; // in sessionStorage, so that it is done once
let connected = false; // one answer to each request

/**
 * @param {import("./gemel.js").Gemel} gemel  answers requests to v1/*
 * @param {{serves?: () => boolean}} options  whether this page answers now; default: while a model is loaded
 * @returns {{ready: Promise<{relays: boolean, why: string | null}>,
 *     offline: Promise<{complete: boolean, why: string | null}>}}
 *     ready: requests to v1/* reach this page from now on, or why they can't. It never settles where the page is
 *     loaded anew to become isolated, so wait for it before anything else. offline: the site is complete offline
 */
export function connect(gemel, { serves = () => gemel.info !== null, ...unknown } = {}) {
    for (const name in unknown) throw new TypeError(`connect: there is no option ${name}`);
    if (connected) throw new Error("connect: this page is connected already");
    connected = true;
    const ready = joined(gemel, serves);
    return { ready, offline: ready.then(kept) };
}

async function joined(gemel, serves) {
    const why = await obstacle();
    if (why !== null) return { relays: false, why };
    const lock = `gemel-page-${crypto.randomUUID()}`; // held while the page lives
    await new Promise((held) => {
        navigator.locks.request(lock, () => new Promise(() => held()));
    });
    listen(gemel, () => (serves() ? lock : null));
    if (isReloadDue()) {
        location.reload();
        await new Promise(() => {});
    }
    return { relays: true, why: null };
}

/** Start the service worker; why it can't have this page, or null. */
async function obstacle() {
    const workers = navigator.serviceWorker;
    if (!workers) return "there are no service workers here: they want https or localhost, and no private window";
    if (!location.href.startsWith(FOLDER.href)) return `this page is not below ${FOLDER}, the folder of gemel's files`;
    const there = workers.ready.then(({ active }) => active); // also where the network fails, and a worker is there
    const started = workers.register(new URL("sw.js", FOLDER), { updateViaCache: "none" }).then(() => there);
    const active = await Promise.race([there, started.catch(({ message }) => message)]);
    if (typeof active === "string") return `the service worker can't be started: ${active}`;
    if (workers.controller) return null;
    const taken = new Promise((resolve) => workers.addEventListener("controllerchange", resolve, { once: true }));
    active.postMessage({ gemel: "claim" });
    await Promise.race([taken, new Promise((resolve) => setTimeout(resolve, PATIENCE))]);
    return workers.controller ? null : "the service worker does not take this page: load it again";
}

/** Whether the page would be isolated if the service worker had brought it. Frames are as their page. */
function isReloadDue() {
    try {
        const tried = sessionStorage.getItem(RELOADED) !== null;
        if (self.crossOriginIsolated) sessionStorage.removeItem(RELOADED);
        if (self.crossOriginIsolated || tried || window !== window.top) return false;
        sessionStorage.setItem(RELOADED, "");
        return true;
    } catch {
        return false; // without a memory it could be done again and again
    }
}

async function kept({ relays, why }) {
    if (!relays) return { complete: false, why };
    if (document.readyState !== "complete") {
        await new Promise((resolve) => window.addEventListener("load", resolve, { once: true }));
    }
    return keep();
}

// ---- Requests -------------------------------------------------------------------------------------------------------

function listen(gemel, lock) {
    const running = new Map(); // id -> AbortController
    navigator.serviceWorker.addEventListener("message", ({ data, ports: [port], source }) => {
        if (data?.gemel === "serves") port.postMessage(lock());
        else if (data?.gemel === "lost") running.get(data.id)?.abort();
        else if (data?.gemel === "request") answer(gemel, data, port, source, running);
    });
    navigator.serviceWorker.startMessages();
}

/** Answer a request of the service worker: head, pieces and end go through the port. */
async function answer(gemel, { id, method, path, headers, body }, port, worker, running) {
    const abort = new AbortController();
    running.set(id, abort);
    port.onmessage = () => abort.abort(); // nobody waits for the answer any more
    const alive = setInterval(() => worker.postMessage({ gemel: "alive", id }), ALIVE);
    try {
        const init = { method, headers, signal: abort.signal };
        if (body.byteLength) init.body = body;
        const response = await gemel.fetch(`/${path}`, init);
        const { status, body: stream } = response;
        port.postMessage({ head: { status, headers: [...response.headers], empty: stream === null } });
        const reader = stream?.getReader();
        for (let read = await reader?.read(); read && !read.done; read = await reader.read()) {
            port.postMessage({ piece: read.value }, [read.value.buffer]);
        }
        port.postMessage({});
    } catch (error) {
        port.postMessage({ error: `${error.name}: ${error.message}` });
    } finally {
        clearInterval(alive);
        running.delete(id);
    }
}
