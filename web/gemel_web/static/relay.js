// Connects a page to the service worker next to this file (sw.js), so that OpenAI clients in the page reach the model
// in its tab by fetch("v1/..."), the page is cross-origin isolated on any host, and the site works offline.
//
//     const relay = connect(gemel);
//     console.log(await relay.ready, await relay.offline);

import { keep } from "./offline.js";
import { optionsOf, refuseUnknown } from "./options.js";

const FOLDER = new URL(".", import.meta.url);
const ALIVE = 10_000; // milliseconds: browsers may end a service worker that is idle for 30 s
const PATIENCE = 5000; // milliseconds for the worker to take over the page
const RELOADED = "gemel: reloaded to be isolated"; // in sessionStorage, so that the page reloads only once
let connected = false; // so that each request is answered once

/**
 * @param {import("./gemel.js").Gemel} gemel  answers requests to v1/*
 * @param {{serves?: () => boolean}} options  whether this page answers requests now; default: while a model is loaded
 * @returns {{ready: Promise<{relays: boolean, why: string | null}>,
 *     offline: Promise<{complete: boolean, why: string | null}>}}
 *     ready: whether requests to v1/* reach this page from now on, and why not. It never settles if the page reloads to
 *     become isolated, so await it before anything else. offline: whether the site works offline, and why not
 */
export function connect(gemel, options) {
    const { serves, ...unknown } = optionsOf("connect", options);
    refuseUnknown("connect", unknown, ["serves"]);
    if (connected) throw new Error("connect: this page is already connected");
    connected = true;
    const ready = join(gemel, serves ?? (() => gemel.info !== null));
    return { ready, offline: ready.then(saveSite) };
}

async function join(gemel, serves) {
    const why = await obstacle().catch(({ message }) => `the browser refuses service workers here: ${message}`);
    if (why !== null) return { relays: false, why };
    const lock = `gemel-page-${crypto.randomUUID()}`; // held while the page lives
    try {
        await new Promise((held, refused) => {
            navigator.locks.request(lock, () => new Promise(() => held())).catch(refused);
        });
    } catch ({ message }) {
        return { relays: false, why: `the browser refuses Web Locks here: ${message}` };
    }
    listen(gemel, () => (serves() ? lock : null));
    if (isReloadDue()) {
        location.reload();
        await new Promise(() => {});
    }
    return { relays: true, why: null };
}

/** Start the service worker; return why it can't control this page, or null. */
async function obstacle() {
    const workers = navigator.serviceWorker;
    if (!workers) return "this page can't use service workers: they need https or localhost, and no private window";
    if (!location.href.startsWith(FOLDER.href)) return `this page is outside ${FOLDER}, the folder of gemel's files`;
    const there = workers.ready.then(({ active }) => active); // also without a network, if a worker is installed
    const started = workers.register(new URL("sw.js", FOLDER), { updateViaCache: "none" }).then(() => there);
    const active = await Promise.race([there, started.catch(({ message }) => message)]);
    if (typeof active === "string") return `the service worker can't be started: ${active}`;
    if (workers.controller) return null;
    const taken = new Promise((resolve) => workers.addEventListener("controllerchange", resolve, { once: true }));
    active.postMessage({ gemel: "claim" });
    await Promise.race([taken, new Promise((resolve) => setTimeout(resolve, PATIENCE))]);
    return workers.controller ? null : "the service worker did not take over this page: reload it";
}

/** Whether a reload through the service worker would isolate the page. Frames depend on their page. */
function isReloadDue() {
    try {
        const tried = sessionStorage.getItem(RELOADED) !== null;
        if (self.crossOriginIsolated) sessionStorage.removeItem(RELOADED);
        if (self.crossOriginIsolated || tried || window !== window.top) return false;
        sessionStorage.setItem(RELOADED, "");
        return true;
    } catch {
        return false; // without storage the page could reload forever
    }
}

async function saveSite({ relays, why }) {
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

/** Answer a request of the service worker. Head, pieces and end go through the port. */
async function answer(gemel, { id, method, path, headers, body }, port, worker, running) {
    const abort = new AbortController();
    running.set(id, abort);
    port.onmessage = () => abort.abort(); // the client has left
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
