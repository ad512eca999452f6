// The tab as a host: one model in the page's worker, through gemel.js. Reports in words what this browser can't do.
import { Gemel } from "../gemel.js";

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
        this.gemel = new Gemel();
        /** The model: a short name, an address or a File. */
        this.source = null;
        this.#loaded = null;
    }

    #loaded;

    get info() {
        return this.gemel.info;
    }

    get isLoaded() {
        return this.source !== null && this.#loaded === this.source && this.info !== null;
    }

    /** Load `source`, and evaluate a prompt while it loads. */
    async load({ prompt, signal, onProgress } = {}) {
        const source = this.source;
        const why = unable();
        if (why !== null) throw Object.assign(new Error(why), { unable: true });
        const before = this.#loaded;
        for (;;) {
            this.#loaded = null;
            try {
                const info = await this.gemel.load(source, { prompt, signal, onProgress });
                this.#loaded = source;
                return info;
            } catch (error) {
                if (this.info !== null) this.#loaded = before; // the new file was no good, and the model before goes on
                if (navigator.onLine || signal?.aborted || error.name !== "SourceError") throw error;
                onProgress?.({ stage: "offline", done: 0, total: 0 });
                await online(signal);
            }
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
