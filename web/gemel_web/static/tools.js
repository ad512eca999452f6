// The tools of a chat: what Python gets of them, and the functions of the page that run their calls. What a function
// returns or throws becomes the text that the model reads.

import { isPlain, shown } from "./options.js";

const SHAPE = "{name, description, parameters, run}";

/**
 * @param {unknown} given  tools as a page passes them
 * @returns {{sent: unknown, runs: Map<string, Function>}} tools as Python takes them, and functions by the names of tools
 */
export function toolsOf(given) {
    const runs = new Map();
    if (!Array.isArray(given)) {
        if (given !== undefined) throw new TypeError(`chat: tools must be an array of ${SHAPE}, not ${shown(given)}`);
        return { sent: undefined, runs };
    }
    const sent = given.map((tool, i) => {
        if (!isPlain(tool))
            throw new TypeError(`chat: tools[${i}] must be an object like ${SHAPE}, not ${shown(tool)}`);
        const { run, ...described } = tool;
        if (run !== undefined && run !== null) {
            if (typeof run !== "function")
                throw new TypeError(`chat: tools[${i}].run must be a function, not ${shown(run)}`);
            runs.set((described.function ?? described).name, run);
        }
        return described;
    });
    return { sent, runs };
}

/** The result of a call as a text: a string is itself, another value its JSON, undefined null. */
export function resultText(value) {
    if (typeof value === "string") return value;
    const text = JSON.stringify(value ?? null);
    if (text === undefined) throw new TypeError(`the tool returned a ${typeof value}, which JSON can't hold`);
    return text;
}

/** An error as the result of a call. */
export function errorText(error) {
    if (!(error instanceof Error)) return `error: ${error}`;
    return error.name === "Error" ? `error: ${error.message}` : `error: ${error.name}: ${error.message}`;
}
