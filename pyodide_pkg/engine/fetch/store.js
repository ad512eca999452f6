// The download worker's constants, errors and cache. load.js describes the worker.

const BLOCK_MIN = 2 ** 18;
const BLOCK_MAX = 2 ** 24; // as in source/layer_order.py
const PROBE = 2 ** 22; // bytes of the first request: enough for most headers; it also gives the size and version
const IN_FLIGHT = 2 ** 23; // bytes that Python has not consumed yet
const ATTEMPTS = 5; // failed connections in a row without a new block
const SILENCE = 30_000; // ms without data until a connection counts as broken
const TICK = 50; // ms between checks for blocks that another page has written
const READ_AHEAD = 2 ** 22; // bytes read ahead from the cache, at least one block
const SCRATCH = 2 ** 17; // bytes per read from the network
const START = 2 ** 10; // bytes of a file that are read before it is accepted; a page's title is in them
const OPENED = 3; // block files opened in advance: opening takes milliseconds

class Stop extends Error {} // final: reported to the user
class Changed extends Error {} // the remote file has changed: downloaded bytes are invalid
class Broken extends Error {} // a connection broke: try again

/** What arrives is not a GGUF file. Python finds the words. */
class Refused extends Error {
    constructor(url, start) {
        super(`${url} sends no GGUF file`);
        Object.assign(this, { url, start });
    }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const megabytes = (size) => `${(size / 1e6).toFixed(1)} MB`;
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const equal = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);
const lengthOf = (headers) => (headers.get("Content-Encoding") ? null : headers.get("Content-Length"));
const isGguf = (bytes) => bytes.length >= 4 && String.fromCharCode(...bytes.subarray(0, 4)) === "GGUF";
const sha256 = async (data) => new Uint8Array(await crypto.subtle.digest("SHA-256", data));

function blockSize(size) {
    let block = BLOCK_MIN;
    while (block < BLOCK_MAX && block * 128 < size) block *= 2;
    return block;
}

/** Say that storage is refused: in a private window, or in a frame of another site. */
const denial = ({ message }) => `the browser denies this page storage (${message})`;

/** This page's origin, as servers see it; a sandboxed frame's is "null", which only "*" allows. */
const ORIGIN = globalThis.origin === "null" ? '"*"' : (globalThis.origin ?? "ORIGIN");

/** {quota, usage} of this origin in bytes, or undefined if the browser does not report them. */
const estimate = async () => navigator.storage.estimate?.().catch(() => undefined);

// ---- The cache ------------------------------------------------------------------------------------------------

const waiting = new Set();

/** Call a method of a handle and keep the handle alive: Chromium never answers if the handle is garbage collected. */
async function held(handle, method, ...args) {
    const call = { handle };
    waiting.add(call);
    try {
        return await handle[method](...args);
    } finally {
        waiting.delete(call);
    }
}

/** One file's folder in the origin's private file system. */
class Store {
    /** Why this host can't have a cache, or "". */
    static async lack() {
        if (globalThis.origin === "null") return "a sandboxed frame without allow-same-origin may not store anything";
        if (globalThis.isSecureContext === false) return "the page is not a secure context (https: or localhost)";
        try {
            const has =
                globalThis.navigator?.storage?.getDirectory &&
                navigator.locks &&
                globalThis.FileSystemFileHandle?.prototype.createSyncAccessHandle;
            if (!has) return "this host has no private file system (OPFS) with synchronous access, or no Web Locks";
            await navigator.locks.request("gemel", { ifAvailable: true }, () => {});
            await navigator.storage.getDirectory();
            return "";
        } catch (error) {
            return denial(error);
        }
    }

    static async open(key) {
        const root = await navigator.storage.getDirectory();
        const all = await held(root, "getDirectoryHandle", "gemel", { create: true });
        return new Store(await held(all, "getDirectoryHandle", key, { create: true }));
    }

    constructor(folder) {
        this.folder = folder;
        this.version = "";
        this.lost = ""; // why no more blocks can be written
        this.opened = new Map(); // block -> a promise of its file, open for writing
    }

    /** What meta.json says; null if it is missing or incomplete. */
    async meta() {
        try {
            const handle = await this.folder.getFileHandle("meta.json");
            return JSON.parse(await (await held(handle, "getFile")).text());
        } catch {
            return null;
        }
    }

    async writeMeta(meta) {
        const handle = await this.#open("meta.json");
        if (handle) this.#fill(handle, new TextEncoder().encode(JSON.stringify(meta)));
        handle?.close();
    }

    /** Open the file of a block that is needed soon. */
    prepare(block) {
        if (this.lost || this.opened.has(block)) return;
        const opening = this.#open(`${this.version}.${block}`);
        opening.catch(() => {}); // thrown by `write`
        this.opened.set(block, opening);
    }

    /** Write a block and its hash, which are contiguous in memory. Returns a function that closes the file. */
    async write(block, bytes) {
        this.prepare(block);
        const handle = await this.opened.get(block);
        this.opened.delete(block);
        if (handle) this.#fill(handle, bytes);
        return () => handle?.close();
    }

    /** Close the files of blocks that were not downloaded. */
    async abandon() {
        for (const [block, opening] of this.opened) {
            this.opened.delete(block);
            const handle = await opening.catch(() => null);
            const empty = handle?.getSize() === 0;
            handle?.close();
            if (empty) await this.folder.removeEntry(`${this.version}.${block}`).catch(() => {});
        }
    }

    /** The blocks of this version whose files have the right length. @param {Remote} file */
    async list(file) {
        const names = (await this.#names()).filter((name) => name.startsWith(`${this.version}.`));
        const blocks = names.map((name) => Number(name.split(".")[1])).filter((block) => block < file.count);
        const sizes = await Promise.all(blocks.map((block) => this.#size(`${this.version}.${block}`)));
        return new Set(blocks.filter((block, i) => sizes[i] === file.sizeOf(block) + 32));
    }

    async #size(name) {
        try {
            return (await held(await this.folder.getFileHandle(name), "getFile")).size;
        } catch {
            return -1;
        }
    }

    async #names() {
        const names = [];
        const read = async () => {
            for await (const name of this.folder.keys()) names.push(name);
        };
        await read().catch((error) => this.#fail(error));
        return names;
    }

    /** Other code may delete the folder during the download. */
    #fail({ name, message }) {
        this.lost =
            name === "NotFoundError" ? "its cache entry was deleted during the download" : `${name}: ${message}`;
    }

    /** A block as {data, hash}, in memory from `make`; null if it is missing or damaged. */
    async read(block, size, make, sure) {
        try {
            const file = await this.folder.getFileHandle(`${this.version}.${block}`);
            if (!sure && (await held(file, "getFile")).size !== size + 32) return null; // another page is writing it
            const bytes = new Uint8Array(make(), 0, size + 32);
            const data = bytes.subarray(0, size);
            if (!(await this.#load(file, bytes))) return null;
            const hash = bytes.slice(size);
            return equal(await sha256(data), hash) ? { data, hash } : null;
        } catch {
            return null; // missing, or unreadable at the moment
        }
    }

    /** Read a whole file into memory; false if its length differs. */
    async #load(file, bytes) {
        let handle;
        try {
            handle = await held(file, "createSyncAccessHandle", { mode: "read-only" });
        } catch (error) {
            if (error.name !== "NoModificationAllowedError") throw error;
            const copy = await (await held(file, "getFile")).arrayBuffer(); // Firefox: another page is reading it
            if (copy.byteLength === bytes.length) bytes.set(new Uint8Array(copy));
            return copy.byteLength === bytes.length;
        }
        try {
            return handle.getSize() === bytes.length && handle.read(bytes, { at: 0 }) === bytes.length;
        } finally {
            handle.close();
        }
    }

    /** A file open for writing, or null if another page has it open or it can't be written. */
    async #open(name) {
        try {
            return await held(await this.folder.getFileHandle(name, { create: true }), "createSyncAccessHandle");
        } catch (error) {
            if (error.name === "QuotaExceededError") throw error;
            if (error.name !== "NoModificationAllowedError") this.#fail(error); // else: another page writes it
            return null;
        }
    }

    #fill(handle, bytes) {
        try {
            if (handle.getSize() > bytes.length) handle.truncate(bytes.length);
            if (handle.write(bytes, { at: 0 }) !== bytes.length) throw new DOMException("", "QuotaExceededError");
        } catch (error) {
            if (error.name === "QuotaExceededError") throw error;
            this.#fail(error);
        }
    }

    /** Delete all blocks, except those of a newer version that another page has begun. */
    async wipe() {
        await this.abandon();
        const meta = await this.meta();
        const all = !meta || meta.version === this.version || !this.version;
        for (const name of await this.#names())
            if (all || name.startsWith(this.version)) await this.folder.removeEntry(name).catch(() => {});
    }
}
