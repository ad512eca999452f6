// A remote file: its size and version, what of it is cached, and requests for its bytes.

class Remote {
    constructor(file, index, abort) {
        Object.assign(this, file); // url, key, name, tree
        this.index = index;
        this.wanted = file.size ?? null; // bytes it must have
        this.abort = abort;
        this.size = -1; // not known yet
        this.block = 0;
        this.validator = ""; // a strong ETag or a date, "" when the server gives neither
        this.ranges = true;
        this.store = null;
        this.have = new Set(); // blocks that should be in the store
        this.given = new Set(); // blocks that were posted
        this.hashes = [];
        this.first = null; // the response that told size and validator, not read yet
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

    learn(size, validator, ranges) {
        this.size = size;
        this.block = blockSize(size);
        this.validator = validator;
        this.ranges = ranges && Boolean(validator); // without a validator only one stream is sure to be one file
    }

    /** True when this page may download, from here on: look anew at what is there. Else false, after a while. */
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
        const { url, name, size, validator, ranges, block, tree } = this;
        const { version } = this.store;
        await this.store.writeMeta({ url, name, size, validator, ranges, block, tree, version });
    }

    /** Take up what is cached; false when there is nothing that can be gone on with. */
    async #recall() {
        const meta = await this.store.meta();
        if (!(meta?.size > 0) || meta.url !== this.url || meta.block !== blockSize(meta.size)) return false;
        if (this.wanted !== null && meta.size !== this.wanted) return false;
        this.store.version = meta.version;
        this.learn(meta.size, meta.validator, meta.ranges);
        this.have = await this.store.list(this);
        if (!this.complete && !this.validator) return false;
        await this.#room();
        return true;
    }

    /** QuotaExceededError while the file does not fit. */
    async #room() {
        const missing = this.size - Math.min(this.have.size * this.block, this.size);
        const told = await estimate();
        const room = told ? Math.max(0, told.quota - told.usage) : Infinity;
        if (missing > room) throw new DOMException(`${missing}`, "QuotaExceededError");
    }

    /** Do it; after a broken connection once more, up to ATTEMPTS times without success. */
    async again(attempt, state = { failures: 0 }) {
        const kept = this.store ? "; what is cached by now stays there" : "";
        for (;;) {
            try {
                return await attempt();
            } catch (error) {
                if (!(error instanceof Broken) || this.abort.signal.aborted) throw error;
                if (++state.failures >= ATTEMPTS) throw new Stop(`the download failed: ${error.message}${kept}`);
                await sleep(125 * 2 ** state.failures);
            }
        }
    }

    /** Ask for bytes [from, to); return {reader, at, end, ...}: a stream of bytes [at, end). */
    async request(from, to) {
        const { signal, stop } = this.#stoppable();
        const headers = this.ranges ? { Range: `bytes=${from}-${to - 1}` } : {};
        const cache = this.store ? "no-store" : "default";
        try {
            const response = await quick(fetch(this.url, { headers, cache, signal }), stop).catch((error) => {
                throw new Broken(
                    `${error.message}: check the address and the network, and that the server lets this ` +
                        "page read it (CORS: Access-Control-Allow-Origin)",
                );
            });
            if (!response.ok) throw refusal(response, this.size >= 0);
            const at = await this.#agree(response, from);
            const end = response.status === 206 ? Math.min(to, this.size) : this.size;
            return { read: reading(response.body, stop), at, end, whole: at === 0 && end === this.size, stop };
        } catch (error) {
            stop();
            throw error;
        }
    }

    /** A signal of one request's, and what gives it and lets go of the load's own, which gives it as well. */
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

    /** Check that a response is of the file that is being loaded; return the offset at which it begins. */
    async #agree(response, from) {
        const { headers } = response;
        const etag = headers.get("ETag") ?? "";
        const validator = etag && !etag.startsWith("W/") ? etag : (headers.get("Last-Modified") ?? "");
        const part = response.status === 206;
        const range = part ? /^bytes (\d+)-\d+\/(\d+)$/.exec(headers.get("Content-Range") ?? "") : null;
        let size = Number((part ? range?.[2] : lengthOf(headers)) ?? -1);
        if (size < 0 && this.size < 0) size = await this.#head(); // a foreign server may not show Content-Range
        if (!Number.isSafeInteger(size)) throw new Stop(`the server says a size that no file has (${size} bytes)`);
        if (this.wanted !== null && size >= 0 && size !== this.wanted)
            throw new Stop(`the server has ${size} bytes, expected ${this.wanted}: not the file that was meant`);
        if (this.size < 0) this.learn(size, validator, part);
        else if ((size >= 0 && size !== this.size) || validator !== this.validator) throw new Changed();
        if (range && Number(range[1]) !== from) throw new Broken(`offset ${range[1]} came, not ${from}`);
        return part ? from : 0;
    }

    async #head() {
        const { signal, stop } = this.#stoppable();
        const response = await quick(fetch(this.url, { method: "HEAD", signal }), stop).catch((error) => {
            if (signal.aborted) throw new Broken(`the file's size was asked for: ${error.message}`);
            return null;
        });
        stop();
        const size = response?.ok ? lengthOf(response.headers) : null;
        if (!size)
            throw new Stop(
                "the server does not tell the file's size: let it send Content-Length, and " +
                    "Access-Control-Expose-Headers: Content-Range, ETag to pages of other origins",
            );
        return Number(size);
    }
}

/** Return a function that gives a stream's next bytes, valid until it is called again. */
function reading(body, stop) {
    let memory = null;
    let reader;
    try {
        reader = body.getReader({ mode: "byob" });
        memory = new ArrayBuffer(SCRATCH); // always the same
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
