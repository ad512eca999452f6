// The tab as a host: one model in the page's worker, by gemel.js. What it can't do here is said in words.
import { Gemel } from "../gemel.js";

// A function that returns a v128: a browser without WebAssembly SIMD finds it invalid.
// biome-ignore format: bytes
const SIMD = [
    0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 22, 1, 20, 0, 253, 12,
    ...Array(16).fill(0), 11,
];
// Errors by which a tab says that it can't: memory, engine, worker. Others are the file's, the network's, a visitor's.
const UNABLE = ["OutOfMemoryError", "MemoryError", "LibraryError", "EngineError", "WorkerError", "ThreadError"];

/** Return why this browser can't compute at all, or null. */
export function unable() {
    if (typeof WebAssembly !== "object") return "this browser has no WebAssembly";
    if (!WebAssembly.validate(Uint8Array.from(SIMD))) return "this browser has no WebAssembly SIMD";
    return null;
}

/** Tell whether models stay in this browser: some have no private file system, some refuse it to private windows. */
export async function keepsModels() {
    try {
        await navigator.storage.getDirectory();
        return true;
    } catch {
        return false;
    }
}

/** Tell whether an error means that the tab can't, rather than that something else is wrong. */
export const isUnable = (error) => error.unable === true || UNABLE.includes(error.name);

export class TabHost {
    name = "tab";
    label = "This tab";

    constructor() {
        this.gemel = new Gemel();
        /** What is to run: a short name, an address or a File. */
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

    /** Load `source`, and evaluate a prompt on the way. */
    async load({ prompt, signal, onProgress } = {}) {
        const source = this.source;
        const why = unable();
        if (why !== null) throw Object.assign(new Error(why), { unable: true });
        this.#loaded = null;
        const info = await this.gemel.load(source, { prompt, signal, onProgress });
        this.#loaded = source;
        return info;
    }

    /**
     * Answer messages.
     * @param {{signal: AbortSignal, onProgress: Function, onBegin: Function,
     *     onPiece: (text: string, count: number) => void}} told
     */
    async answer(messages, options, { signal, onProgress, onBegin, onPiece }) {
        if (this.source === null) throw new Error("no model is chosen: choose one above");
        if (!this.isLoaded) await this.load({ prompt: messages, signal, onProgress });
        signal.throwIfAborted();
        onBegin();
        const generation = this.gemel.chat(messages, options);
        const stop = () => generation.stop();
        signal.addEventListener("abort", stop, { once: true });
        try {
            for await (const piece of generation) onPiece(piece, generation.count);
            return { ...(await generation.result), where: "tab", model: this.info?.name ?? String(this.source) };
        } finally {
            signal.removeEventListener("abort", stop);
        }
    }
}
