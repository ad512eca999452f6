// The visitor's settings, stored in localStorage. They are checked when read: an invalid value is discarded and
// reported. The fields and their defaults are those of Python's Sampling and of chat.send.

const KEY = "gemel-page";
const whole = Number.isSafeInteger;

/** name: {label, help, default, ok, range, step}. A default of null leaves the option out, as does an empty field. */
export const FIELDS = {
    temperature: {
        label: "Temperature",
        default: 0.8,
        step: 0.05,
        min: 0,
        ok: (x) => x >= 0,
        range: "a number, at least 0",
        help: "0 is greedy: always the most likely token",
    },
    top_k: {
        label: "Top k",
        default: 40,
        step: 1,
        min: 0,
        ok: (x) => whole(x) && x >= 0 && x < 2 ** 31,
        range: "an integer from 0 to 2,147,483,647",
        help: "only the k most likely tokens; 0 is off",
    },
    top_p: {
        label: "Top p",
        default: 0.95,
        step: 0.01,
        min: 0,
        ok: (x) => x > 0 && x <= 1,
        range: "over 0 and at most 1",
        help: "the smallest set of top tokens whose probabilities sum to p; 1 is off",
    },
    min_p: {
        label: "Min p",
        default: 0.05,
        step: 0.01,
        min: 0,
        ok: (x) => x >= 0 && x < 1,
        range: "at least 0 and under 1",
        help: "drop tokens less likely than p times the top one; 0 is off",
    },
    repeat_penalty: {
        label: "Repeat penalty",
        default: 1,
        step: 0.05,
        min: 0,
        ok: (x) => x > 0,
        range: "over 0",
        help: "makes recent tokens less likely; 1 is off",
    },
    seed: {
        label: "Seed",
        default: null,
        step: 1,
        min: 0,
        ok: (x) => whole(x) && x >= 0 && x <= 2 ** 53 - 1,
        range: "an integer from 0",
        empty: "random",
        help: "the same seed gives the same answer on any machine",
    },
    max_tokens: {
        label: "Answer limit (tokens)",
        default: null,
        step: 1,
        min: 1,
        ok: (x) => whole(x) && x >= 1,
        range: "an integer, at least 1",
        empty: "a quarter of the context, up to 2048",
        help: "the answer stops after this many tokens; Continue goes on",
    },
    reasoning_budget: {
        label: "Reasoning limit (tokens)",
        default: null,
        step: 1,
        min: 0,
        ok: (x) => whole(x) && x >= 0,
        range: "an integer from 0",
        empty: "none",
        help: "reasoning is closed after this many tokens; 0 allows none",
    },
    n_ctx: {
        label: "Context (tokens)",
        default: null,
        step: 1,
        min: 1,
        ok: (x) => whole(x) && x >= 1 && x < 2 ** 31,
        range: "an integer from 1 to 2,147,483,647",
        empty: "the model’s, up to 4096",
        help: "prompt and answer together, in the tab; the server has its own limit",
    },
};
const TRUNCATION = ["top_k", "top_p", "min_p"]; // ignored at temperature 0
const LIMIT = 100_000; // characters of a stored text

const isText = (value) => typeof value === "string" && value.length <= LIMIT;
const OTHERS = {
    system: { default: "", ok: isText },
    theme: { default: "system", ok: (value) => ["system", "light", "dark"].includes(value) },
    host: { default: "tab", ok: (value) => value === "tab" || value === "native" },
    drawer: { default: false, ok: (value) => typeof value === "boolean" }, // open: the column beside
    surprise: { default: true, ok: (value) => typeof value === "boolean" }, // colours of tokens
    tools: { default: "", ok: isText }, // names of tools.js that are on; others have no effect
    model: { default: null, ok: (value) => value === null || (isText(value) && value !== "") },
};
const ALL = { ...FIELDS, ...OTHERS };

/** Return what is wrong with a field's value, or null. */
export function wrongWith(name, value) {
    const field = FIELDS[name];
    if (value === null && field.default === null) return null;
    if (typeof value === "number" && Number.isFinite(value) && field.ok(value)) return null;
    return `${field.label}: must be ${field.range}`;
}

/** The fields of an answer's options that are valid: stored ones may be anything. */
export const validOptions = (options) =>
    Object.fromEntries(
        Object.entries(options ?? {}).filter(([name, value]) => Object.hasOwn(FIELDS, name) && !wrongWith(name, value)),
    );

function accepts(name, value) {
    return name in FIELDS ? wrongWith(name, value) === null : OTHERS[name].ok(value);
}

export class Settings extends EventTarget {
    #values = Object.fromEntries(Object.entries(ALL).map(([name, { default: value }]) => [name, value]));

    constructor(storage = () => localStorage) {
        super();
        this.storage = storage;
        /** Sentences for the visitor about stored settings that are not used. */
        this.notes = [];
        this.#read();
    }

    #read() {
        let stored;
        try {
            stored = JSON.parse(this.storage().getItem(KEY) ?? "{}");
        } catch (error) {
            this.notes.push(
                `The settings stored in this browser could not be read (${error.message}). The defaults are used.`,
            );
            return;
        }
        if (typeof stored !== "object" || stored === null || Array.isArray(stored)) {
            this.notes.push("The settings stored in this browser were damaged. The defaults are used.");
            return;
        }
        const discarded = [];
        for (const [name, value] of Object.entries(stored)) {
            if (Object.hasOwn(ALL, name) && accepts(name, value)) this.#values[name] = value;
            else discarded.push(name);
        }
        if (!discarded.length) return;
        this.notes.push(
            `Invalid settings stored in this browser were discarded: ${discarded.join(", ").slice(0, 200)}.`,
        );
        this.#write();
    }

    #write() {
        const kept = Object.entries(this.#values).filter(([name, value]) => value !== ALL[name].default);
        try {
            this.storage().setItem(KEY, JSON.stringify(Object.fromEntries(kept)));
            return null;
        } catch (error) {
            return `not saved: ${error.message}`;
        }
    }

    get(name) {
        return this.#values[name];
    }

    /** Set and store a value; return what is wrong, or null. An invalid value changes nothing. */
    set(name, value) {
        if (!accepts(name, value)) return name in FIELDS ? wrongWith(name, value) : `${name}: invalid value`;
        this.#values[name] = value;
        const wrong = this.#write();
        this.dispatchEvent(new CustomEvent("change", { detail: name }));
        return wrong;
    }

    /** Reset the fields of FIELDS to their defaults. */
    reset() {
        for (const name in FIELDS) this.set(name, FIELDS[name].default);
    }

    /** Whether a field has no effect with the current settings. */
    isSilent(name) {
        return this.#values.temperature === 0 && TRUNCATION.includes(name);
    }

    /** Options of an answer: those that differ from the defaults, and a seed, so that it can be repeated. */
    options() {
        const options = { seed: this.#values.seed ?? crypto.getRandomValues(new Uint32Array(1))[0] };
        for (const name in FIELDS) {
            const value = this.#values[name];
            if (name !== "seed" && value !== FIELDS[name].default && !this.isSilent(name)) options[name] = value;
        }
        return options;
    }
}
