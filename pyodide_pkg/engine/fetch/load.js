// The download worker: turns a model's URLs into blocks of bytes, posted in the order that Python asks for.
//
// A file is split into blocks. With a cache, the origin's private file system has one folder gemel/<key> per file, with
// meta.json, the blocks in one file, each at its place, and a table: each block's SHA-256 and a sum that is quick to
// check. A block that the table lacks is missing, so a broken download resumes from the cached blocks. The files' names
// begin with the remote file's version, so two versions never mix. A Web Lock lets one page download while others read.
// A server without ranges sends one stream, in file order. Of the files' contents the worker knows the first four bytes.
//
//   in:  {type: "open", files: [{url, key, name, size, tree}], cache}   size, tree: if known, else null
//        {type: "order", blocks: [file, block, file, block, ...], final}   blocks to post next; final: the last order
//        {type: "ack", size, buffers}                                    consumed bytes, and their memory for reuse
//        {type: "close"}                                                 stop, after pending writes
//   out: {type: "opened", sizes, complete, note}   note: why nothing is cached, or ""
//        {type: "block", file, block, data, done}
//        {type: "progress", done}                  bytes so far, from the network or the cache
//        {type: "done", note} | {type: "changed"} | {type: "error", text} | {type: "refused", url, start}
//                                                  start: the first bytes of what is not a GGUF file; nothing is kept

class Load {
    constructor(port) {
        this.port = port;
        this.files = [];
        this.order = null; // [file, block, ...] once Python has sent it
        this.final = false;
        this.orders = 0;
        this.place = 0; // index in `order`; before an order, the block of the first file
        this.inFlight = 0;
        this.done = 0; // bytes so far
        this.spare = []; // memory of blocks for reuse, to avoid garbage
        this.writing = Promise.resolve(); // blocks are hashed, cached and posted in sequence
        this.failure = null; // the error of a write
        this.wake = () => {};
        this.abort = new AbortController();
        port.onmessage = ({ data }) => this.#on(data);
    }

    #on(message) {
        const { type, blocks, final } = message;
        if (type === "open") this.#run(message);
        if (type === "order") Object.assign(this, { order: blocks, final, place: 0, orders: this.orders + 1 });
        if (type === "ack") {
            this.inFlight -= message.size;
            this.spare.push(...message.buffers);
        }
        if (type === "close") this.abort.abort();
        this.wake();
    }

    async #run({ files, cache }) {
        try {
            const lack = cache ? await Store.lack() : "";
            await this.#open(files, cache && !lack, lack);
            await this.#loop();
            await this.writing;
            for (const file of this.files) await this.#verify(file);
            for (const file of this.files) await file.store?.rest();
            const lost = this.files.find((file) => file.store?.lost);
            this.#post({ type: "done", note: lost?.store.lost ?? "" });
            await this.#changed(() => this.abort.signal.aborted);
        } catch (error) {
            await this.writing.catch(() => {}); // received blocks are kept, and no file stays open
            for (const file of this.files) await file.store?.rest();
            const failure = this.#explain(error).catch(({ message }) => ({ type: "error", text: message }));
            if (!this.abort.signal.aborted) this.#post(await failure);
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
                const isOurs = error instanceof Stop || error instanceof Changed || error instanceof Broken;
                if (isOurs || !cached || error.name === "QuotaExceededError" || this.abort.signal.aborted) throw error;
                note = denial(error);
                cached = false;
                remote.first?.stop();
                remote.release?.();
                this.files[index] = new Remote(file, index, this.abort);
                await this.files[index].open(false);
            }
        }
        const sizes = this.files.map((file) => file.size);
        const complete = this.files.every((file) => file.complete);
        this.#post({ type: "opened", sizes, complete, note });
    }

    async #explain(error) {
        if (error instanceof Changed) {
            for (const file of this.files) if (file.store) await file.store.wipe();
            return { type: "changed" };
        }
        if (error instanceof Refused) return { type: "refused", url: error.url, start: error.start };
        if (error.name === "QuotaExceededError") return { type: "error", text: await this.#quota() };
        return { type: "error", text: error instanceof Stop ? error.message : `${error.name}: ${error.message}` };
    }

    async #quota() {
        const storage = await estimate();
        const used = storage ? ` (${megabytes(storage.usage)} of ${megabytes(storage.quota)} are used)` : "";
        let needed = 0;
        for (const file of this.files) needed += file.missing;
        return (
            `caching it needs ${megabytes(needed)} more than the browser lets this origin store${used}: ` +
            "delete models (gemel.cache.list_async, gemel.cache.delete_async), or pass cache=False"
        );
    }

    #post(message, transfer = []) {
        this.port.postMessage(message, transfer);
    }

    /** Wait until `test` holds after a message; throw the error of a write. */
    async #changed(test) {
        while (!test() && !this.failure && !this.abort.signal.aborted)
            await new Promise((resolve) => {
                this.wake = resolve;
            });
        if (this.failure) throw this.failure;
    }

    /** The next block to post as [file, block]; null: wait for an order, or all are posted. */
    #next() {
        for (; ; this.place++) {
            const [file, asked] = this.#ordered(this.place);
            if (!file || asked >= file.count) return null;
            if (file.given.has(asked)) continue;
            let block = asked;
            if (!file.ranges && !file.have.has(asked)) for (block = 0; file.given.has(block); ) block++;
            return [file, block]; // a server without ranges: in file order
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

    /** Post a block from the cache, or download a run of blocks that begins with it. */
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
            file.have = await file.store.list(file); // another page may have written some
        }
    }

    /** A block of the cache as {data, hash}, or null. */
    async #recall(file, block) {
        if (!file.store || (file.held && !file.have.has(block))) return null;
        const data = new Uint8Array(this.#buffer(file), 0, file.sizeOf(block));
        const found = await file.store.read(block, block * file.block, data);
        if (found) file.have.add(block);
        else {
            file.have.delete(block); // it may have been damaged
            this.spare.push(data.buffer);
        }
        return found;
    }

    /** Wait until Python has consumed enough for `size` bytes more to be in flight. */
    #credit(size) {
        return this.#changed(() => !this.inFlight || this.inFlight + size <= Math.max(IN_FLIGHT, 2 * size));
    }

    /** Memory for a block. */
    #buffer(file) {
        const i = this.spare.findIndex((buffer) => buffer.byteLength === file.block);
        return i < 0 ? new ArrayBuffer(file.block) : this.spare.splice(i, 1)[0];
    }

    #count(size) {
        this.done += size;
        const now = performance.now();
        if (now - (this.reported ?? 0) < 50) return;
        this.reported = now;
        this.#post({ type: "progress", done: this.done });
    }

    #claim(file, block, data) {
        file.given.add(block);
        this.inFlight += data.length;
    }

    #give(file, block, data) {
        this.#post({ type: "block", file: file.index, block, data, done: this.done }, [data.buffer]);
    }

    /** Download and post the run of missing blocks that begins here, with as many connections as needed. */
    async #download(file, first) {
        const run = { block: first, data: null, fill: 0, failures: 0 };
        while (run.block >= 0 && !this.abort.signal.aborted)
            await file.again(async () => {
                const stream = await this.#stream(file, run);
                run.sure = stream.sure;
                if (!run.sure) Object.assign(run, { block: 0, data: null, fill: 0 });
                await this.#receive(file, run, stream).finally(stream.stop);
            }, run);
    }

    async #stream(file, run) {
        // Ranges turned out to be of no use: one stream for all that is missing.
        if (!file.ranges && !run.data) while (run.block > 0 && !file.given.has(run.block - 1)) run.block--;
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
        await this.writing; // of the blocks before
        await file.store?.rest();
        return file.request(from, Math.min(Math.max(last, run.block + 1) * file.block, file.size));
    }

    /** Fill blocks from a stream until it breaks or ends; run.block is -1 if it has ended. */
    async #receive(file, run, { read, at, end }) {
        let skip = run.block * file.block + run.fill - at;
        for (let chunk = null; run.block >= 0; ) {
            if (run.block * file.block + run.fill >= end) {
                if (!run.fill) run.block = -1;
                return;
            }
            if (!chunk?.length) chunk = await read(`offset ${run.block * file.block + run.fill}`);
            const size = file.sizeOf(run.block);
            const part = chunk.subarray(0, skip || size - run.fill);
            chunk = chunk.subarray(part.length);
            if (skip) {
                skip -= part.length;
                continue;
            }
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

    /** A block is complete: cache and post it while the next one is received. */
    async #whole(file, run) {
        const { block, data } = run;
        if (!file.given.has(block)) {
            this.#claim(file, block, data);
            const hash = this.#hash(file, block, data);
            this.writing = this.writing.then(() => this.#keep(file, block, data, hash));
            this.writing.catch((error) => {
                this.failure ??= error;
                this.wake();
            });
            run.failures = 0;
        } else {
            // One stream came again: if it is not sure to be the known version, the bytes must be equal.
            await this.writing;
            const hash = file.hashes[block];
            const same = run.sure || (hash && equal(hash, await sha256(data)));
            if (!same) throw new Changed();
            this.spare.push(data.buffer);
        }
        Object.assign(run, { block: block + 1, data: null, fill: 0 });
        if (this.abort.signal.aborted) run.block = -1;
    }

    /** Hash a block, because a server may stop naming the file's version. The table has the hash, too. */
    async #hash(file, block, data) {
        if (!globalThis.crypto?.subtle) return;
        file.hashes[block] = await sha256(data);
    }

    async #keep(file, block, data, hash) {
        await hash;
        if (file.store && !file.store.lost) await file.store.write(block, block * file.block, data, file.hashes[block]);
        file.have.add(block);
        this.#give(file, block, data);
    }

    /** Check the hash of all blocks' hashes, if it is known. */
    async #verify(file) {
        if (!file.tree || !globalThis.crypto?.subtle) return;
        const all = new Uint8Array(32 * file.count);
        for (let block = 0; block < file.count; block++) all.set(file.hashes[block], 32 * block);
        const found = hex(await sha256(all));
        if (found === file.tree) return;
        await file.store?.wipe();
        throw new Stop(
            `its blocks have SHA-256 ${found}, expected ${file.tree}; the cached part was deleted: ` +
                "try again, or use another network",
        );
    }
}

new Load(globalThis.gemelPort ?? globalThis);
