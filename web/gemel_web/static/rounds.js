// Answers messages. If an answer calls tools that the page runs, the results are added and the model is asked again,
// round by round, until an answer calls none: all rounds are one generation.

import { ToolCall } from "./generation.js";
import { isPlain, listenerOf, shown } from "./options.js";
import { errorText, resultText, toolsOf } from "./tools.js";

const MAX_ROUNDS = 8;
const REFUSED = "error: the user refused this call";
const STOPPED = "error: the call was stopped";
const OF_FIRST = ["continue_final_message", "add_generation_prompt"]; // options that are about the last message
const DRAFTS = ["n_drafted", "n_accepted"];
const SUMS = ["n_prompt", "n_cached", "n_evaluated", "prompt_s", "n_decoded", "decode_s", ...DRAFTS]; // of timings

export class Rounds {
    #ask;
    #messages; // of the conversation
    #added = []; // that the answer adds to it
    #options;
    #runs;
    #onCall;
    #maxRounds;
    #tell; // the generation's listener
    #running = null; // the round's handle; null: tools run
    #abort = new AbortController(); // aborted: stop() or fail() was called; the reason is null or an error
    #seen = { text: "", reasoning: "", calls: [], count: 0 };

    /** @param {Function} ask  asks the worker: (messages, options, listener) => {answer, stop} */
    constructor(ask, messages, options) {
        const { tools, max_rounds, onCall, ...rest } = options;
        const { sent, runs } = toolsOf(tools);
        this.#ask = ask;
        this.#messages = Array.isArray(messages) ? [...messages] : messages;
        this.#options = sent === undefined ? rest : { ...rest, tools: sent };
        this.#runs = runs;
        this.#onCall = listenerOf("chat", { onCall });
        this.#maxRounds = roundsOf(max_rounds);
        if (!runs.size && onCall === undefined) {
            if (max_rounds !== undefined)
                throw new TypeError("chat: max_rounds has no effect: no tool has run, and there is no onCall");
            this.#maxRounds = 0;
        }
        if (onCall !== undefined && !sent?.length)
            throw new TypeError("chat: onCall has no effect: there are no tools");
    }

    /** Whether the page runs tools at this moment, and the worker does nothing. */
    get runsTools() {
        return this.#running === null;
    }

    begin(listener) {
        this.#tell = listener.part;
        return { answer: this.#all(), stop: () => this.stop() };
    }

    stop() {
        this.#abort.abort(null);
        this.#running?.stop();
    }

    /** End with an error if tools run; otherwise the worker's call has ended with it. */
    fail(error) {
        this.#abort.abort(error);
    }

    async #all() {
        let total = await this.#round(this.#options);
        const { tool_choice: choice, ...rest } = this.#options;
        for (const name of OF_FIRST) delete rest[name];
        const later = choice === "auto" || choice === "none" ? { ...rest, tool_choice: choice } : rest;
        for (let n = 1; n <= this.#maxRounds && (await this.#runCalls(total)); n++) {
            const isLast = n === this.#maxRounds;
            const asked = { ...later, seed: total.seed, ...(isLast ? { tool_choice: "none" } : {}) };
            total = joined(total, await this.#round(asked));
        }
        const { text, reasoning, calls } = this.#seen;
        const { fresh: _, ...result } = total;
        if (this.#abort.signal.aborted && this.#added.at(-1)?.role === "tool") result.stop_reason = "cancelled";
        return { ...result, text, reasoning, calls, messages: this.#added };
    }

    // ---- A round ----------------------------------------------------------------------------------------------------

    /** Ask the model once, and add its message; `fresh` of the result are the calls of this round. */
    async #round(options) {
        const fresh = [];
        const apart = { text: this.#seen.text !== "", reasoning: this.#seen.reasoning !== "" };
        const { count } = this.#seen;
        const part = (one, n) => this.#hear(one, count + n, fresh, apart);
        const messages = this.#added.length ? [...this.#messages, ...this.#added] : this.#messages;
        this.#running = this.#ask(messages, options, { part });
        const result = await this.#running.answer;
        this.#running = null;
        for (const [i, { arguments: text, is_complete }] of result.calls.entries())
            Object.assign(fresh[i], { arguments: text, is_complete });
        const complete = fresh.filter(({ is_complete }) => is_complete);
        if (result.usage.completion_tokens || result.stop_reason !== "cancelled")
            this.#added.push(messageOf(this.#begun(options), result, complete));
        return { ...result, fresh: complete };
    }

    /** Take a part of the round: its calls become those of the generation. Texts of two rounds are a line apart. */
    #hear({ kind, text, call: { index, ...called } = {} }, count, fresh, apart) {
        const seen = this.#seen;
        seen.count = count;
        if (kind === "call") {
            if (index === fresh.length) {
                fresh.push(new ToolCall(seen.calls.length, called));
                seen.calls.push(fresh[index]);
            }
            fresh[index].arguments += text;
            this.#tell({ kind, text, call: fresh[index] }, count);
            return;
        }
        const shown = apart[kind] ? `\n\n${text}` : text;
        apart[kind] = false;
        seen[kind] += shown;
        this.#tell({ kind, text: shown }, count);
    }

    /** The message that the first round continues, or null. */
    #begun({ continue_final_message: goes, add_generation_prompt: isNew }) {
        const last = Array.isArray(this.#messages) && !this.#added.length ? this.#messages.at(-1) : null;
        if (last?.role !== "assistant" || isNew || !(goes ?? last.prefix ?? true)) return null;
        return last;
    }

    // ---- Its tools --------------------------------------------------------------------------------------------------

    /** Run the calls of a round, one after another. Return whether there are any, and each has a result. */
    async #runCalls({ fresh, stop_reason: reason }) {
        if (!fresh.length || (reason !== "stop" && reason !== "eos")) return false;
        for (const call of fresh) {
            if (!this.#abort.signal.aborted) await this.#runCall(call);
            if (this.#abort.signal.aborted && call.result === null) {
                if (this.#abort.signal.reason !== null) throw this.#abort.signal.reason;
                Object.assign(call, { result: STOPPED, is_error: true });
            }
            if (call.result === null) continue;
            this.#added.push({ role: "tool", tool_call_id: call.id, content: call.result });
            this.#tell({ kind: "result", text: call.result, call }, this.#seen.count);
        }
        return !this.#abort.signal.aborted && fresh.every(({ result }) => result !== null);
    }

    /** Set the result of a call, unless nobody runs it or it is stopped. What is thrown is its result, too. */
    async #runCall(call) {
        const { signal } = this.#abort;
        let gives;
        try {
            gives = await within(signal, this.#onCall(call, { signal }));
            if (gives === undefined || gives === null || gives === true) {
                const run = this.#runs.get(call.name);
                if (run === undefined) return;
                const value = await within(signal, run(call.values, { signal, call }));
                call.result = resultText(value);
            }
        } catch (error) {
            if (!signal.aborted) Object.assign(call, { result: errorText(error), is_error: true });
        }
        if (call.result !== null || signal.aborted) return;
        if (gives === false) Object.assign(call, { result: REFUSED, is_error: true });
        else if (isPlain(gives) && Object.keys(gives).join() === "result") call.result = resultText(gives.result);
        else throw new TypeError(`chat: onCall must return nothing, false or {result}, not ${shown(gives)}`);
    }
}

/** Await a promise, or reject when a signal is aborted. */
function within(signal, promise) {
    return new Promise((resolve, reject) => {
        if (signal.aborted) reject(signal.reason);
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        Promise.resolve(promise).then(resolve, reject);
    });
}

function roundsOf(given = MAX_ROUNDS) {
    if (Number.isInteger(given) && given >= 1) return given;
    throw new TypeError(`chat: max_rounds must be an integer of at least 1, not ${shown(given)}`);
}

/** An answer as a message in OpenAI's form. begun: the message that it continues, or null. */
function messageOf(begun, { text, reasoning }, calls) {
    const { prefix: _, refusal, ...kept } = begun ?? { role: "assistant" };
    const message = { ...kept, content: begun === null ? text : textOf(begun.content, refusal) + text };
    if (reasoning) message.reasoning_content = (message.reasoning_content ?? "") + reasoning;
    if (!calls.length) return message;
    const tool_calls = calls.map(({ id, name, arguments: text }) => ({
        id,
        type: "function",
        function: { name, arguments: text || "{}" },
    }));
    return { ...message, tool_calls };
}

/** The text of a message's content; a refusal stands for one that is empty. */
function textOf(content, refusal) {
    const text = Array.isArray(content)
        ? content.map((part) => (typeof part === "string" ? part : (part.text ?? part.refusal ?? ""))).join("\n")
        : content;
    return text || refusal || "";
}

/** The results of two rounds as one: counts and times are sums. */
function joined(before, next) {
    const sums = (one, other, names) =>
        Object.fromEntries(names.filter((name) => name in other).map((name) => [name, one[name] + other[name]]));
    const timings = { ...before.timings, ...sums(before.timings, next.timings, SUMS) };
    const { n_evaluated, prompt_s, n_decoded, decode_s } = timings;
    timings.prompt_tok_s = prompt_s ? n_evaluated / prompt_s : 0;
    timings.decode_tok_s = decode_s ? n_decoded / decode_s : 0;
    const usage = sums(before.usage, next.usage, Object.keys(next.usage));
    const logs = next.logprobs === undefined ? {} : { logprobs: [...(before.logprobs ?? []), ...next.logprobs] };
    return { ...next, ...logs, seed: before.seed, timings, usage };
}
