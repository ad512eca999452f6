// A remote file: its size and version, its cached blocks, and requests for its bytes.

class Remote {
    constructor(file, index, abort) {
        Object.assign(this, file); // url, key, name, tree
        this.index = index;
        this.wanted = file.size ?? null; // the size it must have
        this.abort = abort;
        this.size = -1; // unknown
        this.block = 0;
        this.validators = { etag: "", date: "" }; // a strong ETag and a date; "" if the server has not sent it
        this.ranges = true;
        this.store = null;
        this.have = new Set(); // blocks that should be in the store
        this.given = new Set(); // blocks that were posted
        this.hashes = [];
        this.first = null; // the response that gave size and validators, not read yet
        this.held = false; // this page has the lock
        this.lock = null;
    }

    get count() {
        return Math.ceil(this.size / this.block);
    }

    get complete() {
        return this.size >= 0 && this.have.size === this.count;
    }

    sizeOf(block) {
        return Math.min(this.block, this.size - block * this.block);
    }

    /** Bytes that its cache still needs. */
    get missing() {
        const kept = Math.max(this.have.size * this.block, this.store?.length ?? 0); // a file may have holes
        return Math.max(0, this.size - kept);
    }

    get hasValidator() {
        return Boolean(this.validators.etag || this.validators.date);
    }

    learn(size, validators, ranges) {
        this.size = size;
        this.block = blockSize(size);
        this.validators = validators;
        this.ranges = ranges && this.hasValidator; // without a validator, only one stream is sure to be one version
    }

    /** Wait shortly for the lock. True: this page may download from now on, and must list the cache again. */
    async own() {
        this.lock ??= new Promise((granted, failed) => {
            const hold = (release) => {
                this.release = release;
                granted(true);
            };
            navigator.locks.request(`gemel:${this.key}`, () => new Promise(hold)).catch(failed);
        });
        this.held ||= Boolean(await Promise.race([this.lock, sleep(TICK)]));
        return this.held;
    }

    /** Get size and version from the cache, or else from the server. */
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
        const named = new TextEncoder().encode(`${this.validators.etag || this.validators.date}|${this.size}`);
        this.store.version = hex(await sha256(named)).slice(0, 16);
        await this.#room();
        await this.#writeMeta();
    }

    #writeMeta() {
        const { url, name, size, validators, ranges, block, tree } = this;
        const { version } = this.store;
        return this.store.writeMeta({ url, name, size, validators, ranges, block, tree, version });
    }

    /** Use the cached blocks; false if the download can't be resumed from them. */
    async #recall() {
        const meta = await this.store.meta();
        if (!(meta?.size > 0) || meta.url !== this.url || meta.block !== blockSize(meta.size)) return false;
        if (this.wanted !== null && meta.size !== this.wanted) return false;
        this.store.version = meta.version;
        this.learn(meta.size, { etag: "", date: "", ...meta.validators }, meta.ranges);
        this.have = await this.store.list(this);
        if (!this.complete && !this.hasValidator) {
            Object.assign(this, { size: -1, ranges: true, have: new Set() }); // known again from the first response
            return false;
        }
        await this.#room();
        return true;
    }

    /** Throw QuotaExceededError if the file does not fit. */
    async #room() {
        const { missing } = this;
        const storage = await estimate();
        const room = storage ? Math.max(0, storage.quota - storage.usage) : Infinity;
        if (missing > room) throw new DOMException(`${missing}`, "QuotaExceededError");
    }

    /** Run `attempt`; retry after a broken connection, up to ATTEMPTS times in a row. */
    async again(attempt, state = { failures: 0 }) {
        const kept = () => (this.store && this.have.size ? "; the part already downloaded is kept" : "");
        for (;;) {
            try {
                return await attempt();
            } catch (error) {
                if (!(error instanceof Broken) || this.abort.signal.aborted) throw error;
                if (++state.failures >= ATTEMPTS) throw new Stop(`the download failed: ${error.message}${kept()}`);
                await sleep(125 * 2 ** state.failures);
            }
        }
    }

    /** Request bytes [from, to); return {read, at, end, ...}: a stream of bytes [at, end). sure: of the known version. */
    async request(from, to) {
        const { signal, stop } = this.#stoppable();
        const headers = this.ranges ? { Range: `bytes=${from}-${to - 1}` } : {};
        const cache = this.store ? "no-store" : "default";
        try {
            const response = await quick(fetch(this.url, { headers, cache, signal }), stop).catch((error) => {
                throw new Broken(
                    `${error.message}: check the address and the network, and that the server lets this ` +
                        `page read it (CORS: Access-Control-Allow-Origin; gemel serve: --allowed-origin ${ORIGIN})`,
                );
            });
            if (!response.ok) throw refusal(response, this.size >= 0);
            const part = response.status === 206;
            const body = reading(response.body, stop);
            const read = part && from > 0 ? body : await this.#accepted(body); // before its size and version count
            const { at, sure } = await this.#agree(response, from);
            const end = part ? Math.min(to, this.size) : this.size;
            return { read, at, end, sure, whole: at === 0 && end === this.size, stop };
        } catch (error) {
            stop();
            throw error;
        }
    }

    /** Read the start of a file; throw Refused if it is not GGUF, and else return a function like `read` from the start. */
    async #accepted(read) {
        const chunks = [];
        let size = 0;
        let failure = null;
        while (size < START && !failure)
            await read("offset 0").then(
                (chunk) => {
                    chunks.push(chunk.slice()); // the next read overwrites it
                    size += chunk.length;
                },
                (error) => {
                    failure = error; // also the end of a file that is shorter
                },
            );
        const start = new Uint8Array(await new Blob(chunks).arrayBuffer());
        if (size && !isGguf(start)) throw new Refused(this.url, start.slice(0, 4 * START));
        return async (place) => {
            if (chunks.length) return chunks.shift();
            if (failure) throw failure;
            return read(place);
        };
    }

    /** A signal for one request, and a function that aborts it and detaches it from the load's signal. */
    #stoppable() {
        const abort = new AbortController();
        const stop = (why) => {
            this.abort.signal.removeEventListener("abort", stopped);
            abort.abort(why);
        };
        const stopped = () => stop();
        this.abort.signal.addEventListener("abort", stopped);
        if (this.abort.signal.aborted) stop();
        return { signal: abort.signal, stop };
    }

    /** Check a response against the known version; return its offset, and whether it is sure to be that version. */
    async #agree(response, from) {
        const { headers } = response;
        const validators = validatorsOf(headers);
        const part = response.status === 206;
        const range = part ? /^bytes (\d+)-\d+\/(\d+)$/.exec(headers.get("Content-Range") ?? "") : null;
        let size = Number((part ? range?.[2] : lengthOf(headers)) ?? -1);
        if (size < 0 && this.size < 0) size = await this.#head(); // another origin may not expose Content-Range
        if (!Number.isSafeInteger(size)) throw new Stop(`the server reports an invalid size (${size} bytes)`);
        if (this.wanted !== null && size >= 0 && size !== this.wanted)
            throw new Stop(`the server has ${size} bytes, expected ${this.wanted}: it is a different file`);
        const isFirst = this.size < 0;
        if (isFirst) this.learn(size, validators, part);
        const same = isFirst || sameVersion(this.validators, validators);
        if (same === false || (size >= 0 && size !== this.size)) throw new Changed();
        if (range && Number(range[1]) !== from)
            throw new Broken(`the server sent offset ${range[1]} instead of ${from}`);
        if (same === undefined) await this.#learnLater(validators, part);
        return { at: part ? from : 0, sure: same === true };
    }

    /** A response does not show that it is the known version. A range is not used; one stream is requested instead. */
    async #learnLater(validators, part) {
        if (part) {
            this.ranges = false;
            throw new Broken("the server sends ranges without ETag and Last-Modified");
        }
        if (this.hasValidator) return;
        this.validators = validators;
        if (this.store && this.hasValidator) await this.#writeMeta();
    }

    async #head() {
        const { signal, stop } = this.#stoppable();
        const response = await quick(fetch(this.url, { method: "HEAD", signal }), stop).catch((error) => {
            if (signal.aborted) throw new Broken(`the request for the file's size failed: ${error.message}`);
            return null;
        });
        stop();
        const size = response?.ok ? lengthOf(response.headers) : null;
        if (!size)
            throw new Stop(
                "the server does not report the file's size: it must send Content-Length, and " +
                    "Access-Control-Expose-Headers: Content-Range, ETag to pages of other origins",
            );
        return Number(size);
    }
}

/** A response's validators. A weak ETag may belong to different bytes. */
function validatorsOf(headers) {
    const etag = headers.get("ETag") ?? "";
    return { etag: etag.startsWith("W/") ? "" : etag, date: headers.get("Last-Modified") ?? "" };
}

/** Whether validators belong to the same version; undefined if they have none in common: absent is not different. */
function sameVersion(a, b) {
    if (a.etag && b.etag) return a.etag === b.etag;
    return a.date && b.date ? a.date === b.date : undefined;
}

/** Return a function that reads a stream's next bytes. They are valid until the next call. */
function reading(body, stop) {
    let memory = null;
    let reader;
    try {
        reader = body.getReader({ mode: "byob" });
        memory = new ArrayBuffer(SCRATCH); // used for every read
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
            throw new Broken(`the connection was lost at ${place}: ${error.message}`);
        }
    };
}

/** Await a promise; call `stop` if it takes longer than SILENCE. */
async function quick(promise, stop) {
    const timer = setTimeout(() => stop(new Error(`no data for ${SILENCE / 1000} s`)), SILENCE);
    try {
        return await promise;
    } finally {
        clearTimeout(timer);
    }
}

/** Turn an HTTP status into an error: Broken if a retry may help. */
function refusal(response, known) {
    const { status, statusText } = response;
    response.body?.cancel().catch(() => {});
    if (status === 416 && known) return new Changed();
    if (status >= 500 || status === 408 || status === 429) return new Broken(`HTTP ${status} ${statusText}`);
    const login = "it requires a login: download it with your account and open the file";
    const advice = { 401: login, 403: login, 404: "check the address", 416: "the file is empty" }[status];
    return new Stop(`HTTP ${status} ${statusText}; ${advice ?? "the server refuses to send it"}`);
}
