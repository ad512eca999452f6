// The download worker's constants, errors and cache. load.js describes the worker.

const BLOCK_MIN = 2 ** 18;
const BLOCK_MAX = 2 ** 24; // as in source/layer_order.py
const PROBE = 2 ** 22; // bytes of the first request: enough for most headers; it also gives the size and version
const IN_FLIGHT = 2 ** 23; // bytes that Python has not consumed yet
const ATTEMPTS = 5; // failed connections in a row without a new block
const SILENCE = 30_000; // ms without data until a connection counts as broken
const TICK = 50; // ms between checks for blocks that another page has written
const SCRATCH = 2 ** 17; // bytes per read from the network
const START = 2 ** 10; // bytes of a file that are read before it is accepted; a page's title is in them
const LAYOUT = 2; // how a folder of the cache is laid out; others are removed
const SUM = 16; // bytes of a block's sum
const ENTRY = 32 + SUM; // bytes of a block in the table: its SHA-256 and its sum

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

/** Mix each fourth word into one of four sums. A word that differs always changes its sum. */
function mix(sums, bytes) {
    const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
    let [a, b, c, d] = sums;
    for (let i = 0; i < words.length; i += 4) {
        a = Math.imul(a ^ words[i], 0x9e3779b1);
        b = Math.imul(b ^ words[i + 1], 0x85ebca6b);
        c = Math.imul(c ^ words[i + 2], 0xc2b2ae35);
        d = Math.imul(d ^ words[i + 3], 0x27d4eb2f);
    }
    sums.set([a, b, c, d]);
}

/** The sum of a block and its hash, which shows damage: ten times as fast as SHA-256, for what this page itself wrote. */
function sumOf(data, hash) {
    const sums = Int32Array.of(data.length, 1, 2, 3);
    const whole = data.length & -SUM;
    const rest = new Uint8Array(SUM + hash.length);
    rest.set(data.subarray(whole));
    rest.set(hash, SUM);
    mix(sums, data.subarray(0, whole));
    mix(sums, rest);
    return new Uint8Array(sums.buffer);
}

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
        this.length = 0; // bytes of the blocks' file, when it was listed
        this.opened = null; // a promise of the two files, open
    }

    /** What meta.json says; null if it is missing or incomplete, or if this version laid out the folder otherwise. */
    async meta() {
        try {
            const handle = await this.folder.getFileHandle("meta.json");
            const meta = JSON.parse(await (await held(handle, "getFile")).text());
            return meta.layout === LAYOUT ? meta : null;
        } catch {
            return null;
        }
    }

    async writeMeta(meta) {
        const handle = await this.#open("meta.json", true);
        const bytes = new TextEncoder().encode(JSON.stringify({ ...meta, layout: LAYOUT }));
        if (handle) this.#fill(handle, bytes, 0);
        handle?.truncate(bytes.length);
        handle?.close();
    }

    /** Write a block, and then its entry of the table, so that a half-written block counts as missing. */
    async write(block, at, data, hash) {
        const files = await this.#files(true);
        if (!files) return; // another page has them open, in a browser where only one may
        const entry = new Uint8Array(ENTRY);
        entry.set(hash);
        entry.set(sumOf(data, hash), hash.length);
        this.#fill(files.data, data, at);
        if (!this.lost) this.#fill(files.table, entry, block * ENTRY);
    }

    /** Close the files: they will not be needed soon, and others may want to delete them. */
    async rest() {
        const files = await this.opened?.catch(() => null);
        this.opened = null;
        files?.data.close();
        files?.table.close();
    }

    /** The blocks of this version that were written. @param {Remote} file */
    async list(file) {
        const table = new Uint8Array(file.count * ENTRY);
        this.length = await this.#read("data", new Uint8Array(0), 0).catch(() => 0);
        await this.#read("table", table, 0).catch(() => 0);
        const isWhole = (block) => block * file.block + file.sizeOf(block) <= this.length;
        const isNoted = (block) => table.subarray(block * ENTRY, (block + 1) * ENTRY).some((byte) => byte !== 0);
        return new Set(Array.from({ length: file.count }, (_, i) => i).filter((i) => isWhole(i) && isNoted(i)));
    }

    /** A block of `data.length` bytes as {data, hash}; null if it is missing or damaged. */
    async read(block, at, data) {
        try {
            const entry = new Uint8Array(ENTRY);
            if ((await this.#read("table", entry, block * ENTRY)) < (block + 1) * ENTRY) return null;
            if ((await this.#read("data", data, at)) < at + data.length) return null;
            const hash = entry.slice(0, 32);
            return equal(sumOf(data, hash), entry.subarray(32)) ? { data, hash } : null;
        } catch {
            return null; // missing, or unreadable at the moment
        }
    }

    /** Read bytes of a file from an offset, as many as it has; return its size. */
    async #read(what, bytes, at) {
        const files = await this.#files(false);
        if (files) {
            files[what].read(bytes, { at });
            return files[what].getSize();
        }
        const handle = await this.folder.getFileHandle(`${this.version}.${what}`);
        const file = await held(handle, "getFile"); // Firefox: another page has it open
        bytes.set(new Uint8Array(await file.slice(at, at + bytes.length).arrayBuffer()));
        return file.size;
    }

    /** The open files of blocks and of their table, for reading and writing; null if another page has them open. */
    async #files(create) {
        this.opened ??= this.#both(create);
        const opened = this.opened;
        const files = await opened;
        if (!files && this.opened === opened) this.opened = null; // try again the next time
        return files;
    }

    async #both(create) {
        const data = await this.#open(`${this.version}.data`, create);
        const table = data && (await this.#open(`${this.version}.table`, create));
        if (!table) data?.close();
        return table ? { data, table } : null;
    }

    /** An open file, or null if another page has it open, it is missing or it can't be written. Other pages may open it. */
    async #open(name, create) {
        try {
            const handle = await this.folder.getFileHandle(name, { create });
            return await held(handle, "createSyncAccessHandle", { mode: "readwrite-unsafe" });
        } catch (error) {
            if (error.name === "QuotaExceededError") throw error;
            if (create && error.name !== "NoModificationAllowedError") this.#fail(error); // else: another page has it
            return null;
        }
    }

    /** Other code may delete the folder during the download. */
    #fail({ name, message }) {
        this.lost =
            name === "NotFoundError" ? "its cache entry was deleted during the download" : `${name}: ${message}`;
    }

    #fill(handle, bytes, at) {
        try {
            if (handle.write(bytes, { at }) !== bytes.length) throw new DOMException("", "QuotaExceededError");
        } catch (error) {
            if (error.name === "QuotaExceededError") throw error;
            this.#fail(error);
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

    /** Delete all, except what a newer version has that another page has begun. */
    async wipe() {
        await this.rest();
        const meta = await this.meta();
        const all = !meta || meta.version === this.version || !this.version;
        for (const name of await this.#names())
            if (all || name.startsWith(this.version)) await this.folder.removeEntry(name).catch(() => {});
    }
}
