// The tab as a host: one model in the page's worker, through gemel.js. Reports in words what this browser can't do.
import { gemel } from "./engine.js";
import { shortName } from "./format.js";

// A module with a function that returns a v128: invalid in a browser without WebAssembly SIMD.
// biome-ignore format: bytes
const SIMD = [
    0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 22, 1, 20, 0, 253, 12,
    ...Array(16).fill(0), 11,
];
// Errors that mean the tab can't run the model: memory, engine, worker. Others concern the file, network or options.
const UNABLE = ["OutOfMemoryError", "MemoryError", "LibraryError", "EngineError", "WorkerError", "ThreadError"];

/** Return why this browser can't run models at all, or null. */
export function unable() {
    if (typeof WebAssembly !== "object") return "this browser has no WebAssembly";
    if (!WebAssembly.validate(Uint8Array.from(SIMD))) return "this browser has no WebAssembly SIMD";
    return null;
}

/** Whether this browser can store models: some lack a private file system, or deny it to private windows. */
export async function keepsModels() {
    try {
        await navigator.storage.getDirectory();
        return true;
    } catch {
        return false;
    }
}

/** Whether an error means that the tab can't run the model. */
export const isUnable = (error) => error.unable === true || UNABLE.includes(error.name);

/** Wait until there is a network; rejects if the visitor stops. */
function online(signal) {
    return new Promise((resolve, reject) => {
        addEventListener("online", resolve, { once: true, signal });
        signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
}

export class TabHost {
    name = "tab";
    label = "This tab";

    constructor() {
        this.gemel = gemel;
        /** The model: a short name, an address or a File. */
        this.source = null;
        /** Asks whether a model may be downloaded; throws if not. */
        this.mayLoad = async () => {};
        this.#loaded = null;
    }

    #loaded;
    #loads = 0; // that run
    #warming = null; // {source, ended}: a load that no question waits for yet
    #hear = () => {}; // takes its progress

    /** Start Python, and load the model if this browser has it: the visitor is about to ask. */
    async warm() {
        const source = this.source;
        if (unable() !== null || typeof source !== "string" || this.isLoaded || this.#warming !== null) return;
        const entries = await this.gemel.cache.list().catch(() => []); // a question reports what is wrong
        const isKept = entries.some(({ name, complete }) => name === source && complete);
        if (!isKept || this.#loads > 0 || source !== this.source || this.isLoaded) return;
        const loading = this.#load(source, { onProgress: (state) => this.#hear(state) });
        this.#warming = { source, ended: loading.catch(() => {}) };
        await this.#warming.ended;
        this.#warming = null;
    }

    /** Wait for a load that warm() has begun; return whether there was one. */
    async #joins(source, signal, onProgress) {
        if (this.#warming?.source !== source) return false;
        this.#hear = (state) => onProgress?.(state);
        const stopped = new Promise((_, reject) =>
            signal?.addEventListener("abort", () => reject(signal.reason), { once: true }),
        );
        stopped.catch(() => {});
        await Promise.race([this.#warming.ended, stopped]);
        this.#hear = () => {};
        return this.isLoaded;
    }

    get info() {
        return this.gemel.info;
    }

    get modelName() {
        return this.source === null ? null : shortName(this.source);
    }

    get isLoaded() {
        return this.source !== null && this.#loaded === this.source && this.info !== null;
    }

    /** Load `source`, and evaluate a prompt while it loads. */
    async load({ prompt, signal, onProgress } = {}) {
        const source = this.source;
        const why = unable();
        if (why !== null) throw Object.assign(new Error(why), { unable: true });
        onProgress?.({ stage: "start", done: 0, total: 0 });
        if (await this.#joins(source, signal, onProgress)) return this.info;
        await this.mayLoad(source, signal);
        return this.#load(source, { prompt, signal, onProgress });
    }

    async #load(source, { prompt, signal, onProgress }) {
        const before = this.#loaded;
        this.#loads++;
        try {
            for (;;) {
                this.#loaded = null;
                try {
                    const info = await this.gemel.load(source, { prompt, signal, onProgress });
                    this.#loaded = source;
                    return info;
                } catch (error) {
                    if (this.info !== null) this.#loaded = before; // the new file was no good: the model before goes on
                    if (navigator.onLine || signal?.aborted || error.name !== "SourceError") throw error;
                    onProgress?.({ stage: "offline", done: 0, total: 0 });
                    await online(signal);
                }
            }
        } finally {
            this.#loads--;
        }
    }

    /** How many tokens messages have, or null while no model is loaded. */
    async count(messages) {
        return this.isLoaded ? this.gemel.count(messages) : null;
    }

    /**
     * Answer messages.
     * @param {{signal: AbortSignal, onProgress: Function, onBegin: Function,
     *     onPart: (part: import("../gemel.js").Part, count: number) => void}} callbacks
     */
    async answer(messages, options, { signal, onProgress, onBegin, onPart }) {
        if (this.source === null) throw new Error("no model is chosen: choose one above");
        const prompt = options.tools ? undefined : messages; // with tools it is another text
        if (!this.isLoaded) await this.load({ prompt, signal, onProgress });
        signal.throwIfAborted();
        onBegin();
        const generation = this.gemel.chat(messages, options);
        const stop = () => generation.stop();
        signal.addEventListener("abort", stop, { once: true });
        try {
            for await (const part of generation.parts()) onPart(part, generation.count);
            return { ...(await generation.result), where: "tab", model: this.info?.name ?? String(this.source) };
        } finally {
            signal.removeEventListener("abort", stop);
        }
    }
}
