// The download worker: a model's URLs become blocks of bytes, posted in the order in which Python asks for them.
//
// A file is cut into blocks. With a cache, the origin's private file system has a folder gemel/<key> a file, with
// meta.json and one file a block: its bytes and their SHA-256. So a block proves itself, half-written ones are as good
// as missing, and a broken download goes on with what is there. Block names begin with the version of the remote file:
// two versions never mix. A Web Lock lets one page download while others read what it writes.
// A server without ranges sends one stream, in file order. Knows nothing of what is in a file.
//
//   in:  {type: "open", files: [{url, key, name, size, tree}], cache}   size, tree: what is known, or null
//        {type: "order", blocks: [file, block, file, block, ...], final}   what is wanted from now on; final: in all
//        {type: "ack", size, buffers}                                    bytes that were used up, and their memory
//        {type: "close"}                                                 end, when what was begun is written
//   out: {type: "opened", sizes, complete, note}   note: why nothing is cached, or ""
//        {type: "block", file, block, data, done}
//        {type: "progress", done}                  bytes that have come, from the network or from the cache
//        {type: "done", note} | {type: "changed"} | {type: "error", text}
"use strict";

(() => {
    const BLOCK_MIN = 2 ** 18, BLOCK_MAX = 2 ** 24;   // as in _plan.py
    const PROBE = 2 ** 22;       // bytes of the first request: most headers, and all there is to know of the file
    const IN_FLIGHT = 2 ** 23;   // bytes that Python has not used up yet
    const ATTEMPTS = 5;          // connections that may break without a new block
    const SILENCE = 30_000;      // ms without a byte
    const TICK = 50;             // ms between looks at what another page has written
    const READ_AHEAD = 2 ** 22;  // bytes of the cache, or one block
    const SCRATCH = 2 ** 17;     // bytes of a read from the network

    class Stop extends Error {}      // for the user
    class Changed extends Error {}   // the remote file is another one than before: nothing that came may be used
    class Broken extends Error {}    // a connection broke: try again

    const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const megabytes = (size) => `${(size / 1e6).toFixed(1)} MB`;
    const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    const equal = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);
    const lengthOf = (headers) => headers.get("Content-Encoding") ? null : headers.get("Content-Length");
    const sha256 = async (data) => new Uint8Array(await crypto.subtle.digest("SHA-256", data));

    function blockSize(size) {
        let block = BLOCK_MIN;
        while (block < BLOCK_MAX && block * 256 < size) block *= 2;
        return block;
    }

    // ---- The cache ------------------------------------------------------------------------------------------------

    /** One file's folder in the origin's private file system. */
    class Store {
        /** Why there can be no cache here, or "". */
        static lack() {
            if (globalThis.isSecureContext === false) return "the page is not a secure context (https: or localhost)";
            const has = globalThis.navigator?.storage?.getDirectory && navigator.locks &&
                globalThis.FileSystemFileHandle?.prototype.createSyncAccessHandle;
            return has ? "" : "this host has no private file system (OPFS) with synchronous access, or no Web Locks";
        }

        static async open(key) {
            const all = await (await navigator.storage.getDirectory()).getDirectoryHandle("gemel", { create: true });
            return new Store(await all.getDirectoryHandle(key, { create: true }));
        }

        constructor(folder) {
            this.folder = folder;
            this.version = "";
            this.lost = "";   // why nothing more can be written
        }

        meta() {   // null: none, or half-written
            return this.folder.getFileHandle("meta.json").then((handle) => handle.getFile())
                .then((file) => file.text()).then(JSON.parse).catch(() => null);
        }

        writeMeta(meta) { return this.#write("meta.json", [new TextEncoder().encode(JSON.stringify(meta))]); }
        write(block, data, hash) { return this.#write(`${this.version}.${block}`, [data, hash]); }

        /** The blocks of this version, of `count`, by their names. */
        async list(count) {
            const names = (await this.#names()).filter((name) => name.startsWith(`${this.version}.`));
            return new Set(names.map((name) => Number(name.split(".")[1])).filter((block) => block < count));
        }

        async #names() {
            const names = [];
            const read = async () => { for await (const name of this.folder.keys()) names.push(name); };
            await read().catch((error) => this.#fail(error));
            return names;
        }

        /** Somebody may delete the folder while it is loaded. */
        #fail({ name, message }) {
            this.lost = name === "NotFoundError" ? "its cache entry was deleted meanwhile" : `${name}: ${message}`;
        }

        /** A block as {data, hash} in memory that `make` gives, or null when it is missing or damaged. */
        async read(block, size, make, sure) {
            let handle;
            try {
                const file = await this.folder.getFileHandle(`${this.version}.${block}`);
                if (!sure && (await file.getFile()).size !== size + 32) return null;   // another page writes it
                handle = await file.createSyncAccessHandle({ mode: "read-only" });
                const bytes = new Uint8Array(make(), 0, size + 32), data = bytes.subarray(0, size);
                if (handle.getSize() !== bytes.length || handle.read(bytes, { at: 0 }) !== bytes.length) return null;
                const hash = bytes.slice(size);
                return equal(await sha256(data), hash) ? { data, hash } : null;
            } catch {
                return null;   // none, or another page has it open and this browser knows no mode for readers
            } finally {
                handle?.close();
            }
        }

        async #write(name, parts) {
            let handle;
            try {
                const file = await this.folder.getFileHandle(name, { create: true });
                handle = await file.createSyncAccessHandle();
                handle.truncate(0);
                let at = 0;
                for (const part of parts) {
                    if (handle.write(part, { at }) !== part.length) throw new DOMException("", "QuotaExceededError");
                    at += part.length;
                }
            } catch (error) {
                if (error.name === "QuotaExceededError") throw error;
                if (error.name !== "NoModificationAllowedError") this.#fail(error);   // another page writes this block
            } finally {
                handle?.close();
            }
        }

        /** Delete everything but what another version has begun meanwhile. */
        async wipe() {
            const meta = await this.meta();
            const all = !meta || meta.version === this.version || !this.version;
            for (const name of await this.#names())
                if (all || name.startsWith(this.version)) await this.folder.removeEntry(name).catch(() => {});
        }
    }

    // ---- One remote file ------------------------------------------------------------------------------------------

    class Remote {
        constructor(file, index, abort) {
            Object.assign(this, file);   // url, key, name, tree
            this.index = index;
            this.wanted = file.size ?? null;   // bytes it must have
            this.abort = abort;
            this.size = -1;              // not known yet
            this.block = 0;
            this.validator = "";         // a strong ETag or a date, "" when the server gives neither
            this.ranges = true;
            this.store = null;
            this.have = new Set();       // blocks that should be in the store
            this.given = new Set();      // blocks that were posted
            this.hashes = [];
            this.first = null;           // the response that told size and validator, not read yet
            this.held = false;           // this page has the lock
            this.lock = null;
        }

        get count() { return Math.ceil(this.size / this.block); }
        get complete() { return this.size >= 0 && this.have.size === this.count; }
        sizeOf(block) { return Math.min(this.block, this.size - block * this.block); }

        learn(size, validator, ranges) {
            this.size = size;
            this.block = blockSize(size);
            this.validator = validator;
            this.ranges = ranges && Boolean(validator);   // without a validator only one stream is sure to be one file
        }

        /** True when this page may download; else false, after a while. */
        async own() {
            if (!this.held) {
                this.lock ??= new Promise((held, failed) => {
                    const hold = (release) => { Object.assign(this, { release, held: true }); held(); };
                    navigator.locks.request(`gemel:${this.key}`, () => new Promise(hold)).catch(failed);
                });
                await Promise.race([this.lock, sleep(TICK)]);
            }
            return this.held;
        }

        /** Find out size and version, from the cache or else from the server. */
        async open(cache) {
            this.store = cache ? await Store.open(this.key) : null;
            while (this.store) {
                const held = this.held;
                if (await this.#recall()) return;
                if (held) break;
                await this.own();
            }
            const probe = Math.min(PROBE, this.wanted ?? PROBE);
            this.first = await this.again(() => this.request(0, probe));
            if (!this.store) return;
            await this.store.wipe();
            const named = new TextEncoder().encode(`${this.validator}|${this.size}`);
            this.store.version = hex(await sha256(named)).slice(0, 16);
            await this.#room();
            const { url, name, size, validator, ranges, block, tree, store: { version } } = this;
            await this.store.writeMeta({ url, name, size, validator, ranges, block, tree, version });
        }

        /** Take up what is cached; false when there is nothing that can be gone on with. */
        async #recall() {
            const meta = await this.store.meta();
            if (!(meta?.size > 0) || meta.url !== this.url || meta.block !== blockSize(meta.size)) return false;
            if (this.wanted !== null && meta.size !== this.wanted) return false;
            this.store.version = meta.version;
            this.learn(meta.size, meta.validator, meta.ranges);
            this.have = await this.store.list(this.count);
            if (!this.complete && !this.validator) return false;
            await this.#room();
            return true;
        }

        /** QuotaExceededError while the file does not fit. */
        async #room() {
            const missing = this.size - Math.min(this.have.size * this.block, this.size);
            const { quota, usage } = await navigator.storage.estimate();
            if (missing > Math.max(0, quota - usage)) throw new DOMException(`${missing}`, "QuotaExceededError");
        }

        /** Do it; after a broken connection once more, up to ATTEMPTS times without success. */
        async again(attempt, state = { failures: 0 }) {
            for (;;) {
                try {
                    return await attempt();
                } catch (error) {
                    if (!(error instanceof Broken) || this.abort.signal.aborted) throw error;
                    if (++state.failures >= ATTEMPTS)
                        throw new Stop(`the download failed: ${error.message}; what is cached by now stays there`);
                    await sleep(125 * 2 ** state.failures);
                }
            }
        }

        /** Ask for bytes [from, to); return {reader, at, end, ...}: a stream of bytes [at, end). */
        async request(from, to) {
            const abort = new AbortController();
            const stop = (why) => abort.abort(why);
            this.abort.signal.addEventListener("abort", () => stop(), { once: true });
            const headers = this.ranges ? { Range: `bytes=${from}-${to - 1}` } : {};
            const cache = this.store ? "no-store" : "default";
            let response;
            try {
                response = await quick(fetch(this.url, { headers, cache, signal: abort.signal }), stop);
            } catch (error) {
                throw new Broken(`${error.message}: check the address and the network, and that the server lets this ` +
                    "page read it (CORS: Access-Control-Allow-Origin)");
            }
            if (!response.ok) throw refusal(response, this.size >= 0);
            const at = await this.#agree(response, from, to);
            const end = response.status === 206 ? Math.min(to, this.size) : this.size;
            return { read: reading(response.body, stop), at, end, whole: at === 0 && end === this.size, stop };
        }

        /** Check that a response is of the file that is being loaded; return the offset at which it begins. */
        async #agree(response, from, to) {
            const { headers } = response;
            const etag = headers.get("ETag") ?? "";
            const validator = etag && !etag.startsWith("W/") ? etag : headers.get("Last-Modified") ?? "";
            const part = response.status === 206;
            const range = part ? /^bytes (\d+)-\d+\/(\d+)$/.exec(headers.get("Content-Range") ?? "") : null;
            let size = Number((part ? range?.[2] : lengthOf(headers)) ?? -1);
            if (size < 0 && this.size < 0) size = await this.#head();   // a foreign server may not show Content-Range
            if (!Number.isSafeInteger(size)) throw new Stop(`the server says a size that no file has (${size} bytes)`);
            if (this.wanted !== null && size >= 0 && size !== this.wanted)
                throw new Stop(`the server has ${size} bytes, expected ${this.wanted}: not the file that was meant`);
            if (this.size < 0) this.learn(size, validator, part);
            else if ((size >= 0 && size !== this.size) || validator !== this.validator) throw new Changed();
            if (range && Number(range[1]) !== from) throw new Broken(`offset ${range[1]} came, not ${from}`);
            return part ? from : 0;
        }

        async #head() {
            const response = await fetch(this.url, { method: "HEAD", signal: this.abort.signal }).catch(() => null);
            const size = response?.ok ? lengthOf(response.headers) : null;
            if (!size)
                throw new Stop("the server does not tell the file's size: let it send Content-Length, and " +
                    "Access-Control-Expose-Headers: Content-Range, ETag to pages of other origins");
            return Number(size);
        }
    }

    /** Return a function that gives a stream's next bytes, valid until it is called again. */
    function reading(body, stop) {
        let memory = null, reader;
        try {
            reader = body.getReader({ mode: "byob" });
            memory = new ArrayBuffer(SCRATCH);   // always the same
        } catch {
            reader = body.getReader();
        }
        return async (place) => {
            try {
                const { value, done } = await quick(reader.read(memory && new Uint8Array(memory)), stop);
                if (done) throw new Error("the connection closed early");
                if (memory) memory = value.buffer;
                return value;
            } catch (error) {
                throw new Broken(`it broke off at ${place}: ${error.message}`);
            }
        };
    }

    /** A promise that takes too long calls `stop` and breaks. */
    async function quick(promise, stop) {
        const timer = setTimeout(() => stop(new Error(`nothing came for ${SILENCE / 1000} s`)), SILENCE);
        try {
            return await promise;
        } finally {
            clearTimeout(timer);
        }
    }

    /** What an HTTP status means: try again, or not. */
    function refusal(response, known) {
        const { status, statusText } = response;
        response.body?.cancel().catch(() => {});
        if (status === 416 && known) return new Changed();
        if (status >= 500 || status === 408 || status === 429) return new Broken(`HTTP ${status} ${statusText}`);
        const login = "it wants a login: download it with your account and open the file";
        const advice = { 401: login, 403: login, 404: "check the address", 416: "the file is empty" }[status];
        return new Stop(`HTTP ${status} ${statusText}; ${advice ?? "the server won't send it"}`);
    }

    // ---- One load -------------------------------------------------------------------------------------------------

    class Load {
        constructor(port) {
            this.port = port;
            this.files = [];
            this.order = null;       // [file, block, ...] once Python has said so
            this.final = false;
            this.orders = 0;
            this.place = 0;          // in `order`, or the block of the first file before
            this.inFlight = 0;
            this.done = 0;           // bytes that have come
            this.spare = [];         // memory for blocks, used again and again: garbage would pile up
            this.reading = new Map();
            this.writing = Promise.resolve();   // blocks are hashed, cached and posted one after the other
            this.failure = null;                // what went wrong with that
            this.wake = () => {};
            this.abort = new AbortController();
            port.onmessage = ({ data }) => this.#on(data);
        }

        #on(message) {
            const { type, blocks, final } = message;
            if (type === "open") this.#run(message);
            if (type === "order") Object.assign(this, { order: blocks, final, place: 0, orders: this.orders + 1 });
            if (type === "ack") { this.inFlight -= message.size; this.spare.push(...message.buffers); }
            if (type === "close") this.abort.abort();
            this.wake();
        }

        async #run({ files, cache }) {
            try {
                const lack = cache ? Store.lack() : "";
                await this.#open(files, cache && !lack, lack);
                await this.#loop();
                await this.writing;
                for (const file of this.files) await this.#verify(file);
                const lost = this.files.find((file) => file.store?.lost);
                this.#post({ type: "done", note: lost?.store.lost ?? "" });
                await this.#changed(() => this.abort.signal.aborted);
            } catch (error) {
                if (!this.abort.signal.aborted) this.#post(await this.#explain(error));
            } finally {
                for (const file of this.files) file.release?.();
                this.port.close();
            }
        }

        async #open(files, cached, lack) {
            let note = lack;
            for (const [index, file] of files.entries()) {
                const remote = new Remote(file, index, this.abort);
                this.files.push(remote);
                try {
                    await remote.open(cached);
                } catch (error) {
                    if (!["SecurityError", "UnknownError", "InvalidStateError"].includes(error.name)) throw error;
                    note = `the browser refuses its private file system (${error.message})`;   // a private window
                    cached = false;
                    await remote.open(false);
                }
            }
            const sizes = this.files.map((file) => file.size), complete = this.files.every((file) => file.complete);
            this.#post({ type: "opened", sizes, complete, note });
        }

        async #explain(error) {
            if (error instanceof Changed) {
                for (const file of this.files) if (file.store) await file.store.wipe();
                return { type: "changed" };
            }
            if (error.name === "QuotaExceededError") return { type: "error", text: await this.#quota() };
            return { type: "error", text: error instanceof Stop ? error.message : `${error.name}: ${error.message}` };
        }

        async #quota() {
            const { quota, usage } = await navigator.storage.estimate();
            let needed = 0;
            for (const file of this.files) needed += Math.max(0, file.size - file.have.size * file.block);
            return `caching it needs ${megabytes(needed)} more than the browser lets this origin keep (it says that ` +
                `${megabytes(usage)} of ${megabytes(quota)} are used): delete models (gemel.cache.list_async, ` +
                "gemel.cache.delete_async), or pass cache=False";
        }

        #post(message, transfer = []) { this.port.postMessage(message, transfer); }
        /** Wait for a message after which `test` holds; throw what writing blocks has thrown. */
        async #changed(test) {
            while (!test() && !this.failure && !this.abort.signal.aborted)
                await new Promise((resolve) => { this.wake = resolve; });
            if (this.failure) throw this.failure;
        }

        /** The next block to post as [file, block], or null: wait for an order, or all are posted. */
        #next() {
            for (; ; this.place++) {
                const [file, asked] = this.#ordered(this.place);
                if (!file || asked >= file.count) return null;
                if (file.given.has(asked)) continue;
                let block = asked;
                if (!file.ranges && !file.have.has(asked)) for (block = 0; file.given.has(block);) block++;
                return [file, block];   // of a server without ranges: in file order
            }
        }

        #ordered(place) {
            const { order, files } = this;
            return order ? [files[order[2 * place]], order[2 * place + 1]] : [files[0], place];
        }

        async #loop() {
            for (;;) {
                const next = this.#next();
                const { orders } = this;
                if (next) await this.#serve(...next);
                else if (this.final) return;
                else await this.#changed(() => this.orders > orders);
                if (this.abort.signal.aborted) throw new Stop("closed");
            }
        }

        /** Post a block from the cache, or download from it on. */
        async #serve(file, block) {
            await this.#credit(file.sizeOf(block));
            const found = await this.#recall(file, block);
            if (found) {
                this.#count(found.data.length);
                file.hashes[block] = found.hash;
                this.#claim(file, block, found.data);
                this.#give(file, block, found.data);
            } else if (!file.store || file.held) {
                await this.#download(file, block);
            } else if (await file.own()) {
                file.have = await file.store.list(file.count);   // what another page has written meanwhile
            }
        }

        /** A block of the cache as {data, hash}, or null; the next ones are being read already. */
        async #recall(file, block) {
            if (!file.store || (file.held && !file.have.has(block))) return null;
            const read = (at) => {
                const name = `${file.index}.${at}`;
                const load = () => file.store.read(at, file.sizeOf(at), () => this.#buffer(file), file.have.has(at));
                if (!this.reading.has(name)) this.reading.set(name, load());
                return this.reading.get(name);
            };
            if (file.have.has(block) && this.order)
                for (let i = 1; i < Math.max(2, READ_AHEAD / file.block); i++) {
                    const [other, at] = this.#ordered(this.place + i);
                    if (other === file && file.have.has(at) && !file.given.has(at)) read(at);
                }
            const found = await read(block);
            this.reading.delete(`${file.index}.${block}`);
            if (found) file.have.add(block);
            else file.have.delete(block);   // it was damaged
            return found;
        }

        /** Wait until Python has used up so much that `size` bytes more may wait for it. */
        #credit(size) {
            return this.#changed(() => !this.inFlight || this.inFlight + size <= Math.max(IN_FLIGHT, 2 * size));
        }

        /** Memory for a block and its hash. */
        #buffer(file) {
            const size = file.block + 32, i = this.spare.findIndex((buffer) => buffer.byteLength === size);
            return i < 0 ? new ArrayBuffer(size) : this.spare.splice(i, 1)[0];
        }

        #count(size) {
            this.done += size;
            const now = performance.now();
            if (now - (this.told ?? 0) < 50) return;
            this.told = now;
            this.#post({ type: "progress", done: this.done });
        }

        #claim(file, block, data) { file.given.add(block); this.inFlight += data.length; }

        #give(file, block, data) {
            this.#post({ type: "block", file: file.index, block, data, done: this.done }, [data.buffer]);
        }

        /** Post the run of missing blocks that begins here, over as many connections as it takes. */
        async #download(file, first) {
            const run = { block: first, data: null, fill: 0, failures: 0 };
            while (run.block >= 0 && !this.abort.signal.aborted)
                await file.again(async () => {
                    const stream = await this.#stream(file, run);
                    if (!file.validator) Object.assign(run, { block: 0, data: null, fill: 0 });
                    await this.#receive(file, run, stream).finally(stream.stop);
                }, run);
        }

        async #stream(file, run) {
            const from = run.block * file.block + run.fill;
            const { first } = file;
            file.first = null;
            if (first && from === 0 && (file.ranges || first.whole)) return first;
            first?.stop();
            let last = run.block;
            for (let place = this.place; this.order || last * file.block < from + PROBE; place++, last++) {
                const [other, block] = this.#ordered(place);
                if (other !== file || block !== last || block >= file.count || file.have.has(block)) break;
            }
            return file.request(from, Math.min(Math.max(last, run.block + 1) * file.block, file.size));
        }

        /** Fill blocks from a stream until it ends, then run.block is -1, or breaks. */
        async #receive(file, run, { read, at, end }) {
            let skip = run.block * file.block + run.fill - at;
            for (let chunk = null; run.block >= 0; ) {
                if (run.block * file.block + run.fill >= end) {
                    if (!run.fill) run.block = -1;
                    return;
                }
                if (!chunk?.length) chunk = await read(`offset ${run.block * file.block + run.fill}`);
                const size = file.sizeOf(run.block), part = chunk.subarray(0, skip || size - run.fill);
                chunk = chunk.subarray(part.length);
                if (skip) { skip -= part.length; continue; }
                if (!run.data) {
                    await this.#credit(size);
                    run.data = new Uint8Array(this.#buffer(file), 0, size);
                }
                run.data.set(part, run.fill);
                run.fill += part.length;
                if (!file.given.has(run.block)) this.#count(part.length);
                if (run.fill === size) await this.#whole(file, run);
            }
        }

        /** A block is whole: it is cached and posted while the next one comes. */
        async #whole(file, run) {
            const { block, data } = run;
            if (!file.given.has(block)) {
                this.#claim(file, block, data);
                this.writing = this.writing.then(() => this.#keep(file, block, data));
                this.writing.catch((error) => { this.failure ??= error; this.wake(); });
                run.failures = 0;
            } else {   // the stream of a server without ranges came again: where it names no version, it must be equal
                await this.writing;
                const hash = file.hashes[block];
                if (!file.validator && !(hash && equal(hash, await sha256(data)))) throw new Changed();
                this.spare.push(data.buffer);
            }
            Object.assign(run, { block: block + 1, data: null, fill: 0 });
            if (this.abort.signal.aborted) run.block = -1;
        }

        async #keep(file, block, data) {
            const wanted = file.store || file.tree || !file.validator;
            if (wanted && globalThis.crypto?.subtle) file.hashes[block] = await sha256(data);
            if (file.store && !file.store.lost) await file.store.write(block, data, file.hashes[block]);
            file.have.add(block);
            this.#give(file, block, data);
        }

        /** Compare with the known hash of the hashes of all blocks. */
        async #verify(file) {
            if (!file.tree || !globalThis.crypto?.subtle) return;
            const all = new Uint8Array(32 * file.count);
            for (let block = 0; block < file.count; block++) all.set(file.hashes[block], 32 * block);
            const found = hex(await sha256(all));
            if (found === file.tree) return;
            await file.store?.wipe();
            throw new Stop(`its blocks have SHA-256 ${found}, expected ${file.tree}; what was cached is deleted: try ` +
                "again, or from another network");
        }
    }

    new Load(globalThis.gemelPort ?? globalThis);
})();
