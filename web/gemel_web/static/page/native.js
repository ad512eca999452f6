// The native server as a host: the same messages and options, through the OpenAI API next to this page. The header
// Gemel-Host makes a request bypass the service worker; in an answer it names the host. Tools run in the page.
import { Generation } from "../generation.js";
import { Rounds } from "../rounds.js";

export const AWAY = "AwayError"; // the server can't be reached, or has ended its answer early
const BROKEN = "the native server's answer ended early";
const SILENT = "the native server does not answer: it is off, or the network is";
const HEADERS = { "Gemel-Host": "native" };

const away = (words) => Object.assign(new Error(words), { name: AWAY });

/** The server's error message as an Error. */
async function errorOf(answer) {
    const text = await answer.text();
    let message = text.slice(0, 300) || answer.statusText;
    let code;
    try {
        ({ message, code } = JSON.parse(text).error);
    } catch {
        // not the API's JSON: keep the text
    }
    const error = new Error(`the native server says: ${message} (${answer.status})`);
    error.name =
        answer.status === 401 ? "KeyError" : code === "context_length_exceeded" ? "ContextError" : "ServerError";
    return error;
}

/** Yield the JSON of a stream of server-sent events, until [DONE]. */
export async function* events(body) {
    let rest = "";
    for await (const chunk of readAll(body.pipeThrough(new TextDecoderStream()))) {
        const parts = (rest + chunk).split("\n\n");
        rest = parts.pop();
        for (const part of parts) {
            const data = part
                .split("\n")
                .filter((line) => line.startsWith("data:"))
                .map((line) => line.slice(5).trim())
                .join("\n");
            if (data === "[DONE]") return;
            if (data) yield JSON.parse(data);
        }
    }
    throw away(BROKEN);
}

async function* readAll(stream) {
    const reader = stream.getReader(); // not every browser iterates over streams
    try {
        for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
    } finally {
        reader.cancel().catch(() => {}); // a failed stream has already thrown
    }
}

export class NativeHost {
    name = "native";
    label = "Native server";

    constructor() {
        /** Why it can't answer, or null. */
        this.why = "this page has no native server";
        this.models = [];
        this.model = null;
        this.wantsKey = false;
        try {
            this.#key = sessionStorage.getItem("gemel-key") ?? "";
        } catch {
            // no storage: the visitor enters the key again
        }
    }

    #key = "";
    #cards = []; // the list of /v1/models

    /** The server's model and engine, in the form of a tab's info; null: unknown. */
    get info() {
        const meta = this.#cards.find(({ id }) => id === this.model)?.meta;
        if (!meta?.isa) return null; // or it is not loaded
        const memory = { memory: meta.size, memoryOf: "the model’s weights, on the server" };
        return { ...meta, ...memory, default_n_ctx: meta.n_ctx };
    }

    get key() {
        return this.#key;
    }

    set key(key) {
        this.#key = key;
        try {
            sessionStorage.setItem("gemel-key", key);
        } catch {
            // no storage: the key is lost when the page is closed
        }
    }

    #headers(more = {}) {
        return { ...HEADERS, ...more, ...(this.#key ? { Authorization: `Bearer ${this.#key}` } : {}) };
    }

    /** Ask which models are served; afterwards `why` says whether the server can be used. */
    async look() {
        if (this.wantsKey && !this.#key) {
            this.why = null; // it is available; the first question asks for the key
            return;
        }
        try {
            const answer = await fetch("v1/models", { headers: this.#headers(), cache: "no-store" });
            this.wantsKey = answer.status === 401;
            this.why = null;
            if (this.wantsKey) return;
            if (!answer.ok) throw await errorOf(answer);
            this.#cards = (await answer.json()).data;
            this.models = this.#cards.map(({ id }) => id);
            if (!this.models.includes(this.model)) this.model = this.models[0] ?? null;
            this.why = this.model === null ? "the native server serves no model" : null;
        } catch (error) {
            this.why = error.name === "ServerError" ? error.message : SILENT;
        }
    }

    /** Like TabHost.answer. The speed is measured in the page. */
    async answer(messages, options, { signal, onBegin, onPart }) {
        if (this.wantsKey || this.model === null || this.why === SILENT) await this.look();
        if (this.wantsKey)
            throw Object.assign(
                new Error(
                    this.#key
                        ? "the native server rejects this API key: correct it in Settings"
                        : "the native server requires an API key: enter it in Settings",
                ),
                { name: "KeyError" },
            );
        if (this.why !== null) throw this.why === SILENT ? away(SILENT) : new Error(this.why);
        signal.throwIfAborted();
        let where = null;
        const ask = (said, asked, listener) =>
            round(asked.seed, listener, async (run, hear, stopped) => {
                const answer = await this.#ask(said, asked, stopped);
                if (!answer.ok) throw await errorOf(answer);
                where = answer.headers.get("Gemel-Host");
                onBegin();
                await read(answer.body, run, hear, stopped);
            });
        const rounds = new Rounds(ask, messages, options);
        const generation = new Generation((listener) => rounds.begin(listener));
        const stop = () => generation.stop();
        signal.addEventListener("abort", stop, { once: true });
        try {
            for await (const part of generation.parts()) onPart(part, generation.count);
            return { ...(await generation.result), where: where ?? "unknown", model: this.model };
        } finally {
            signal.removeEventListener("abort", stop);
        }
    }

    #ask(messages, { n_ctx: _, top_logprobs, ...rest }, signal) {
        // n_ctx is left out: the server has its own context.
        const options = top_logprobs === undefined ? rest : { ...rest, logprobs: true, top_logprobs };
        const body = { model: this.model, messages, ...options, stream: true, stream_options: { include_usage: true } };
        const headers = this.#headers({ "Content-Type": "application/json" });
        const request = fetch("v1/chat/completions", { method: "POST", headers, body: JSON.stringify(body), signal });
        return request.catch((error) => {
            throw signal.aborted ? error : away(SILENT); // a TypeError that says only that it failed
        });
    }

    /** How many tokens messages have, or null if the server can't say. */
    async count(messages) {
        if (this.why !== null || this.model === null) return null;
        const [system, rest] =
            messages[0]?.role === "system" ? [messages[0].content, messages.slice(1)] : [undefined, messages];
        const headers = this.#headers({ "Content-Type": "application/json" });
        const body = JSON.stringify({ model: this.model, system, messages: rest });
        try {
            const answer = await fetch("v1/messages/count_tokens", { method: "POST", headers, body });
            return answer.ok ? (await answer.json()).input_tokens : null;
        } catch {
            return null; // out of reach, which the next question reports
        }
    }
}

/** One request as Rounds asks for it: {answer, stop}. act(run, hear, signal) makes it and fills `run`. */
function round(seed, { part }, act) {
    const abort = new AbortController();
    const run = {
        text: "",
        reasoning: "",
        calls: [],
        reason: "cancelled",
        usage: null,
        logprobs: [],
        count: 0,
        times: [],
    };
    const hear = (kind, text, call) => {
        run.count++;
        run.times = [run.times[0] ?? performance.now(), performance.now()];
        part({ kind, text, call }, run.count);
    };
    return { answer: act(run, hear, abort.signal).then(() => ({ seed, ...resultOf(run) })), stop: () => abort.abort() };
}

/** Read a stream's deltas. A request that was stopped keeps what came. */
async function read(body, run, hear, signal) {
    try {
        for await (const event of events(body)) {
            if (event.error) throw new Error(`the native server says: ${event.error.message}`);
            take(event, run, hear);
        }
    } catch (error) {
        if (!signal.aborted) throw error instanceof TypeError ? away(BROKEN) : error; // a network error
    }
}

function take({ choices: [choice], usage }, run, hear) {
    if (usage) run.usage = usage;
    run.logprobs.push(...(choice?.logprobs?.content ?? []));
    const { content, reasoning_content: reasoning, tool_calls: calls } = choice?.delta ?? {};
    if (reasoning) {
        run.reasoning += reasoning;
        hear("reasoning", reasoning);
    }
    if (content) {
        run.text += content;
        hear("text", content);
    }
    for (const { index, id, function: { name, arguments: given = "" } = {} } of calls ?? []) {
        run.calls[index] ??= { index, id, name, arguments: "" };
        run.calls[index].arguments += given;
        hear("call", given, run.calls[index]);
    }
    if (choice?.finish_reason) run.reason = choice.finish_reason;
}

function resultOf(run) {
    const many = run.usage?.completion_tokens ?? run.count;
    const [first, last] = run.times;
    const decode = (last - first) / 1000;
    const isTimed = many > 1 && decode > 0;
    return {
        text: run.text,
        reasoning: run.reasoning,
        logprobs: run.logprobs,
        calls: run.calls.map((call) => ({ ...call, is_complete: isJson(call.arguments) })),
        stop_reason: run.reason === "tool_calls" ? "stop" : run.reason,
        usage: run.usage ?? { prompt_tokens: null, completion_tokens: many },
        timings: {
            n_decoded: isTimed ? many - 1 : 0,
            decode_s: isTimed ? decode : 0,
            decode_tok_s: isTimed ? (many - 1) / decode : 0,
        },
    };
}

function isJson(text) {
    try {
        JSON.parse(text || "{}");
        return true;
    } catch {
        return false;
    }
}
