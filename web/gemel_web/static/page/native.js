// The native server as a host: the same messages and options, through the OpenAI API next to this page. The header
// Gemel-Host makes a request bypass the service worker; in an answer it names the host.

const BROKEN = "the native server's answer ended early";
const HEADERS = { "Gemel-Host": "native" };

/** The server's error message as an Error. */
async function errorOf(answer) {
    const text = await answer.text();
    let message = text.slice(0, 300) || answer.statusText;
    try {
        message = JSON.parse(text).error.message;
    } catch {
        // not the API's JSON: keep the text
    }
    const error = new Error(`the native server says: ${message} (${answer.status})`);
    error.name = answer.status === 401 ? "KeyError" : "ServerError";
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
    throw new Error(BROKEN);
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
        if (!meta) return null;
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
            this.why =
                error.name === "ServerError" ? error.message : `the native server does not answer (${error.message})`;
        }
    }

    /** Like TabHost.answer. The speed is measured in the page. */
    async answer(messages, options, { signal, onBegin, onPiece }) {
        if (this.wantsKey || this.model === null) await this.look();
        if (this.wantsKey)
            throw Object.assign(
                new Error(
                    this.#key
                        ? "the native server rejects this API key: correct it in Settings"
                        : "the native server requires an API key: enter it in Settings",
                ),
                { name: "KeyError" },
            );
        if (this.why !== null) throw new Error(this.why);
        const answer = await this.#ask(messages, options, signal);
        if (!answer.ok) throw await errorOf(answer);
        onBegin();
        const run = { text: "", reason: "cancelled", usage: null, count: 0, first: null, last: null };
        try {
            for await (const event of events(answer.body)) {
                if (event.error) throw new Error(`the native server says: ${event.error.message}`);
                this.#take(event, run, onPiece);
            }
        } catch (error) {
            if (!signal.aborted) throw error instanceof TypeError ? new Error(BROKEN) : error; // a network error
        }
        return resultOf(run, answer.headers.get("Gemel-Host"), this.model, options.seed);
    }

    #ask(messages, { n_ctx: _, ...options }, signal) {
        // n_ctx is left out: the server has its own context.
        const body = { model: this.model, messages, ...options, stream: true, stream_options: { include_usage: true } };
        const headers = this.#headers({ "Content-Type": "application/json" });
        return fetch("v1/chat/completions", { method: "POST", headers, body: JSON.stringify(body), signal });
    }

    #take({ choices: [choice], usage }, run, onPiece) {
        if (usage) run.usage = usage;
        const text = choice?.delta?.content;
        if (text) {
            run.text += text;
            run.count++;
            run.last = performance.now();
            run.first ??= run.last;
            onPiece(text, run.count);
        }
        if (choice?.finish_reason) run.reason = choice.finish_reason;
    }
}

function resultOf(run, where, model, seed) {
    const many = run.usage?.completion_tokens ?? run.count;
    const decode = (run.last - run.first) / 1000;
    return {
        text: run.text,
        stop_reason: run.reason,
        seed,
        where: where ?? "unknown",
        model,
        usage: run.usage ?? { prompt_tokens: null, completion_tokens: many },
        timings: {
            decode_tok_s: many > 1 && decode > 0 ? (many - 1) / decode : 0,
        },
    };
}
