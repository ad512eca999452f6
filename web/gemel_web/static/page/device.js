// What this device has for a model: memory, storage, a connection that costs, speed. What the browser does not tell is
// unknown here, and estimates are marked as such.
import { bytes } from "./format.js";

const KEY = "gemel-speeds";
const MOST = 30; // models whose speed is remembered
const TAB_LIMIT = 3.6e9; // bytes of a model: WebAssembly addresses 4 GiB, and the context needs some
const [BESIDE, SHARE] = [0.4e9, 1.1]; // bytes that Python and a context need beside `SHARE` times the file
const OF_MEMORY = 0.6; // what a browser may have of a device's memory
const TOP_MEMORY = 8; // browsers say no more than this, in GiB
const PER_THREAD = 2e9; // bytes of weights a second, where nothing was measured
const THREADS = 4; // more wait for the same memory

/** What the browser says: {memory, free, isMetered, threads}; null where it does not. */
export async function device() {
    const { quota, usage } = (await navigator.storage?.estimate?.().catch(() => null)) ?? {};
    const { saveData, type } = navigator.connection ?? {};
    return {
        memory: navigator.deviceMemory ?? null,
        free: quota === undefined ? null : quota - (usage ?? 0),
        isMetered: saveData === true || type === "cellular",
        threads: self.crossOriginIsolated ? (navigator.hardwareConcurrency ?? 1) : 1,
    };
}

/** Whether a file fits: {level: "fits" | "tight" | "no" | "unknown", words}. `kept`: it is stored already. */
export function fit(size, { memory, free }, kept = false) {
    if (!size) return { level: "unknown", words: "size unknown" };
    if (size > TAB_LIMIT) return { level: "no", words: `too large for a tab, which takes up to ${bytes(TAB_LIMIT)}` };
    const needs = size * SHARE + BESIDE;
    const has = memory === null ? null : memory * 2 ** 30;
    if (has !== null && needs > has)
        return { level: "no", words: `needs ${bytes(needs)} of memory; this device has ${memory} GB` };
    if (!kept && free !== null && size > free)
        return { level: "tight", words: `only ${bytes(free)} of storage left: it would be downloaded at each visit` };
    if (has !== null && memory < TOP_MEMORY && needs > has * OF_MEMORY)
        return { level: "tight", words: `may be too large: needs ${bytes(needs)} of this device’s ${memory} GB` };
    if (has === null) return { level: "unknown", words: `needs ${bytes(needs)} of memory` };
    return { level: "fits", words: "fits" };
}

/** Speeds of answers in this tab, by the names of models. They stay in this browser. */
export class Speeds {
    #known = {}; // name: [tokens/s, bytes of weights]

    constructor(storage = () => localStorage) {
        this.storage = storage;
        try {
            const found = JSON.parse(storage().getItem(KEY) ?? "[]");
            const isPair = (one) => Array.isArray(one) && one.length === 2 && one.every((n) => n > 0 && n < 1e13);
            this.#known = Object.fromEntries(found.filter(([name, pair]) => typeof name === "string" && isPair(pair)));
        } catch {
            // no storage, or not ours: nothing is known
        }
    }

    has(name) {
        return name !== null && Object.hasOwn(this.#known, name);
    }

    /** Remember an answer's speed. */
    note(name, rate, size) {
        if (!(rate > 0) || !(size > 0)) return;
        delete this.#known[name]; // the newest comes last
        this.#known[name] = [rate, size];
        try {
            this.storage().setItem(KEY, JSON.stringify(Object.entries(this.#known).slice(-MOST)));
        } catch {
            // no storage: known until the page is closed
        }
    }

    /** Tokens per second to expect: {rate, from: "measured" | "other" | "guess"}, or null. */
    of(name, size, { threads }) {
        if (Object.hasOwn(this.#known, name)) return { rate: this.#known[name][0], from: "measured" };
        if (!size) return null;
        const last = Object.values(this.#known).at(-1);
        if (last !== undefined) return { rate: (last[0] * last[1]) / size, from: "other" };
        return { rate: (PER_THREAD * Math.min(threads, THREADS)) / size, from: "guess" };
    }
}
