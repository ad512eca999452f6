// Checks of what a page passes to gemel: options are plain objects with known names, and a worker can receive them.

const SUBJECTS = {
    load: "model",
    generate: "prompt",
    chat: "messages",
    count: "prompt",
    embed: "texts",
    run: "code",
    delete: "name",
};
const IN_PAGE = ["onProgress", "signal"]; // options of load that Python does not get
const LOAD = [...IN_PAGE, "threads", "isa", "prompt", "cache", "overrides", "draft"];
const CUTOFF = 1 / 3; // how much of a name may differ from the one that was meant
const BEGINNING = 3; // characters that may stand for a name, if only one name continues them
const MAX_DEPTH = 100; // of what is searched: it may contain itself
const SENT = "pass strings, numbers, booleans, arrays and plain objects";

/** The options of a call; null and undefined are left out, for all of them and for each. */
export function optionsOf(call, options) {
    if (options === null || options === undefined) return {};
    if (!isPlain(options))
        throw new TypeError(`${call}: options must be an object such as {name: value}, not ${shown(options)}`);
    return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== null && value !== undefined));
}

/** Tell whether a value is a plain object, also of another window. A Map, a Date and a class's object are not. */
export function isPlain(value) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
    const kind = Object.getPrototypeOf(value);
    return kind === null || Object.getPrototypeOf(kind) === null;
}

/** The options of load that stay in the page, checked, and `rest`, which Python checks. */
export function loadOptionsOf(options) {
    const { onProgress, signal, ...rest } = optionsOf("load", options);
    for (const name of Object.keys(rest)) {
        const hint = LOAD.includes(name) ? "" : didYouMean(name, LOAD);
        if (IN_PAGE.some((one) => hint.includes(`'${one}'`)))
            throw new TypeError(`load: unknown option ${name}${hint}`);
    }
    return { progress: listenerOf("load", { onProgress }), signal: signalOf("load", signal), rest };
}

/** The address of a folder, absolute, with a slash at its end. */
export function folderOf(call, name, address) {
    if (typeof address !== "string" && classOf(Object(address)) !== "URL")
        throw new TypeError(`${call}: ${name} must be the address of a folder, not ${shown(address)}`);
    return absolute(`${call}: ${name}`, address).replace(/\/?$/, "/");
}

/** An address relative to the page becomes absolute. */
export function absolute(where, address) {
    try {
        return new URL(address, document.baseURI).href;
    } catch {
        throw new TypeError(`${where}: ${shown(String(address))} is not a valid address`);
    }
}

/** Refuse options that a call does not know. @param {string[]} known  what it knows */
export function refuseUnknown(call, unknown, known) {
    for (const name in unknown) throw new TypeError(`${call}: unknown option ${name}${didYouMean(name, known)}`);
}

/** Return the end of an error: a question about the nearest known name, or "" when none is near. */
function didYouMean(name, known) {
    const fold = (one) => one.replaceAll(/[_-]/g, "").toLowerCase();
    const given = fold(name);
    const differs = (one) => distance(given, fold(one)) / Math.max(given.length, one.length);
    const [nearest] = [...known].sort((a, b) => differs(a) - differs(b));
    const continued = given.length < BEGINNING ? [] : known.filter((one) => fold(one).startsWith(given));
    const meant = differs(nearest) <= CUTOFF ? nearest : continued.length === 1 ? continued[0] : undefined;
    return meant === undefined ? "" : `; did you mean '${meant}'?`;
}

/** The characters to insert, delete or replace until one text is the other. */
function distance(one, other) {
    let row = Array.from({ length: other.length + 1 }, (_, i) => i);
    for (let i = 0; i < one.length; i++) {
        const next = [i + 1];
        for (let j = 0; j < other.length; j++) {
            next.push(Math.min(row[j] + (one[i] === other[j] ? 0 : 1), row[j + 1] + 1, next[j] + 1));
        }
        row = next;
    }
    return row[other.length];
}

/** Return the only listener of an object, or a function that does nothing. */
export function listenerOf(call, listeners) {
    const [[name, listener]] = Object.entries(listeners);
    if (listener !== undefined && typeof listener !== "function")
        throw new TypeError(`${call}: ${name} must be a function, not ${shown(listener)}`);
    return listener ?? (() => {});
}

/** Return a signal, or undefined. */
export function signalOf(call, signal) {
    if (signal !== undefined && typeof signal?.throwIfAborted !== "function")
        throw new TypeError(`${call}: signal must be an AbortSignal, not ${shown(signal)}`);
    return signal;
}

/** A value as an error shows it: 3n, "text", an object of class Map. */
export function shown(value) {
    if (typeof value === "bigint") return `${value}n`;
    if (typeof value === "string") return JSON.stringify(value.slice(0, 80));
    if (typeof value !== "object" || value === null) return String(value).slice(0, 80);
    return `an object of class ${classOf(value)}`;
}

function classOf(value) {
    const name = Object.prototype.toString.call(value).slice(8, -1);
    return name === "Object" ? (value.constructor?.name ?? name) : name;
}

/** Return the error of a message that could not be sent: it names the value that a worker can't receive. */
export function unsendable(error, { name, subject, options }) {
    if (error.name !== "DataCloneError") return error;
    const values = { [SUBJECTS[name] ?? "its first parameter"]: subject, ...options };
    const found = Object.entries(values).map(([key, value]) => culprit(value, key, 0));
    const first = found.find((one) => one !== null);
    return first ? new TypeError(`${name}: ${first}`, { cause: error }) : error;
}

/** Say which part of a value can't be sent, or return null. */
function culprit(value, where, depth) {
    if (isSendable(value)) return null;
    if (typeof value === "function" || typeof value === "symbol") return `${where} is a ${typeof value}: ${SENT}`;
    if (value instanceof ArrayBuffer || ArrayBuffer.isView(value))
        return `${where} is an array whose bytes were transferred elsewhere: pass one that has its bytes`;
    if (!Array.isArray(value) && !isPlain(value)) return `${where} is an object of class ${classOf(value)}: ${SENT}`;
    const place = (key) => (Array.isArray(value) ? `${where}[${key}]` : `${where}.${key}`);
    const parts = depth < MAX_DEPTH ? Object.entries(value) : [];
    for (const [key, part] of parts) {
        const found = culprit(part, place(key), depth + 1);
        if (found !== null) return found;
    }
    return `${where} is a Proxy, or holds one: pass a plain copy`;
}

function isSendable(value) {
    try {
        structuredClone(value);
        return true;
    } catch {
        return false;
    }
}
