/** A model: a short name, an address, or the file's bytes. */
export type ModelSource = string | URL | Blob | ArrayBuffer | Uint8Array;

/** Where gemel's files and models come from, and the number of threads. */
export interface GemelOptions {
    /** The folder of gemel's files. Default: the module's folder. */
    base?: string | URL | null;
    /** 1 to 256. Default: the browser's CPUs, at most 8. A page that is not cross-origin isolated has one. */
    threads?: number | null;
    /** A folder that serves the models with short names. */
    models?: string | URL | null;
}

/** The progress of a load. */
export interface Progress {
    stage: "start" | "download" | "load" | "prefill";
    /** Bytes, or layers in "prefill". */
    done: number;
    /** 0: unknown. */
    total: number;
    /** `done` per second. */
    speed: number;
    /** Seconds; null: unknown. */
    left: number | null;
}

/**
 * Options of gemel.open_async, by Python's names. null is undefined, here and in the options of all calls, which are
 * plain objects.
 */
export interface LoadOptions {
    onProgress?: ((progress: Progress) => void) | null;
    signal?: AbortSignal | null;
    /** A text, ids or messages to evaluate while the model loads. */
    prompt?: string | ArrayLike<number> | Message[] | null;
    threads?: number | null;
    isa?: string | null;
    /** false: do not store the download. */
    cache?: boolean | null;
    /**
     * What generations evaluate ahead where that is faster, at the same texts: what the context repeats (true, the
     * default), nothing (false), or beside repeats a smaller model of the same vocabulary or a file of
     * gemel draft-cache, as bytes or a Blob.
     */
    draft?: boolean | ModelSource | null;
}

/** Facts about the loaded model and the engine that runs it. */
export interface Info {
    name: string;
    arch: string;
    n_params: number;
    n_ctx: number;
    default_n_ctx: number;
    n_embd: number;
    has_chat: boolean;
    engine: "threads" | "threads64" | "side module";
    isa: string;
    threads: number;
    /** One sentence: why this engine. */
    why: string;
    /** How the chat template has calls of tools written; "generic": it knows none, but they work. */
    tools: string;
    /** How it has reasoning marked; "": it has none. */
    reasoning: string;
    /** Bytes of weights. */
    weight_size: number;
    /** Bytes of KV cache per token. */
    kv_size: number;
    /** Total bytes of WebAssembly memory, as of the last answer. */
    memory: number;
    /** What the file says that the model goes without, a sentence each. */
    warnings: string[];
    /** One sentence: why the download is not cached; null: it is, or nothing was to be cached. */
    why_uncached: string | null;
}

/** The fields of gemel.Sampling. */
export interface Sampling {
    temperature?: number | null;
    top_k?: number | null;
    top_p?: number | null;
    min_p?: number | null;
    typical_p?: number | null;
    repeat_penalty?: number | null;
    frequency_penalty?: number | null;
    presence_penalty?: number | null;
    penalty_last_n?: number | null;
    dry_multiplier?: number | null;
    dry_base?: number | null;
    dry_allowed_length?: number | null;
    dry_last_n?: number | null;
    dry_breakers?: string[] | null;
    xtc_probability?: number | null;
    xtc_threshold?: number | null;
    mirostat?: 0 | 2 | null;
    mirostat_tau?: number | null;
    mirostat_eta?: number | null;
    /** A 64-bit integer, from 2 ** 53 as a BigInt; -1: a random one. */
    seed?: number | bigint | null;
    /** id -> the number that is added to its logit. */
    logit_bias?: Map<number, number> | Record<number, number> | null;
}

/** What the answer may be: one of these at most. */
export interface Form {
    /** GBNF, as llama.cpp has it. */
    grammar?: string | null;
    regex?: string | null;
    choices?: string[] | null;
    /** The answer is the compact JSON of a value that is valid. */
    json_schema?: object | boolean | string | null;
    /** false: allow a schema that can't be enforced as a whole; `invalid` of the result says what is wrong. */
    strict?: boolean | null;
    /** Near max_tokens, allow only what leaves enough tokens to end the value. */
    close_at_max_tokens?: boolean | null;
    /** false: a pass for each token, also where the form forces text. The answer is the same. */
    fast_forward?: boolean | null;
}

/** Options of Model.generate. */
export interface GenerateOptions extends Sampling, Form {
    max_tokens?: number | null;
    stop?: string | string[] | null;
    special?: boolean | null;
    n_ctx?: number | null;
    kv_type?: "q8_0" | "f16" | "f32" | null;
    /** How many of the most likely tokens the result has for each token drawn, 0 to 20; null: no log-probabilities. */
    top_logprobs?: number | null;
}

/** Options of Model.chat and Chat.send. */
export interface ChatOptions extends Sampling, Form {
    max_tokens?: number | null;
    stop?: string | string[] | null;
    n_ctx?: number | null;
    kv_type?: "q8_0" | "f16" | "f32" | null;
    /** How many of the most likely tokens the result has for each token drawn, 0 to 20; null: no log-probabilities. */
    top_logprobs?: number | null;
    /** A chat template (Jinja) that replaces the file's. */
    template?: string | null;
    tools?: (Tool | OpenAITool)[] | null;
    /** "auto" (the default), "required", "none", or the name of a tool. It counts for the first round. */
    tool_choice?: string | null;
    /** false: at most one call per round. */
    parallel_tool_calls?: boolean | null;
    /** Tokens of reasoning after which it is closed; 0: none. */
    reasoning_budget?: number | null;
    /** How often results may go back to the model, 8 by default; after the last time it must answer in words. */
    max_rounds?: number | null;
    /**
     * Called before each call is run. Returns nothing or true: it is run; false: it is refused; {result}: this is its
     * result. A thrown error refuses it, too: the model reads its message.
     */
    onCall?: ((call: ToolCall, context: { signal: AbortSignal }) => CallAnswer | Promise<CallAnswer>) | null;
    /** Whether the answer goes on with the last message, the assistant's; null: it does if that message is. */
    continue_final_message?: boolean | null;
    /** true: the answer begins a message in any case. */
    add_generation_prompt?: boolean | null;
    /** Values for the template, such as enable_thinking. */
    template_options?: Record<string, unknown> | null;
}

/** What runs a call: gets its arguments by name, and returns any value of JSON. An error is its result, too. */
interface Runnable {
    run?(args: Record<string, unknown>, context: { signal: AbortSignal; call: ToolCall }): unknown;
}

/** A tool that the model may call. `parameters` is a JSON schema; calls are valid by it, unless `strict` is false. */
export interface Tool extends Runnable {
    type?: "function";
    name: string;
    description?: string;
    parameters?: object;
    strict?: boolean;
}

/** The same in OpenAI's form. */
export interface OpenAITool extends Runnable {
    type: "function";
    function: { name: string; description?: string; parameters?: object; strict?: boolean | null };
}

/** Whether a call is run, or its result. */
export type CallAnswer = { result: unknown } | boolean | null | undefined;

/** A call of a tool. */
export class ToolCall {
    private constructor();
    /** Its place among the calls of the generation. */
    readonly index: number;
    readonly id: string;
    readonly name: string;
    /** A JSON object, as text; while the answer runs, its beginning. */
    readonly arguments: string;
    /** Whether the call was written to its end. */
    readonly is_complete: boolean;
    /** The text that the model gets; null: none yet, or the page does not run this call. */
    readonly result: string | null;
    /** Whether the result is an error. */
    readonly is_error: boolean;
    /** The arguments by name. SyntaxError for a call that is not complete. */
    readonly values: Record<string, unknown>;
}

/** The next piece of an answer. The first part of a call has no text yet; the others add to its arguments. */
export type Part =
    | { kind: "text" | "reasoning"; text: string; call?: undefined }
    | { kind: "call" | "result"; text: string; call: ToolCall };

/** One message of a conversation. Templates may use more keys. */
export interface Message {
    role: string;
    /** An assistant's message may lack it. */
    content?: string | { type: string; text?: string; [key: string]: unknown }[] | null;
    [key: string]: unknown;
}

/** A token and its natural log-probability, the model's own: before bias, penalties and temperature. */
export interface Logprob {
    token: string;
    logprob: number;
    /** The token's bytes: a token may be a part of a character. */
    bytes: number[];
}

/** A token that was drawn, and the most likely ones in its place, the most likely first. */
export interface TokenLogprob extends Logprob {
    top_logprobs: Logprob[];
}

/** How a generation ended. */
export interface Result {
    text: string;
    stop_reason: "stop" | "eos" | "length" | "cancelled";
    /** The same `seed` repeats this run. A BigInt from 2 ** 53. */
    seed: number | bigint;
    /** With top_logprobs: the answer's tokens in order, also those of markers, reasoning and calls. */
    logprobs?: TokenLogprob[];
    /** With strict: false: why a whole answer is not valid by its schema. */
    invalid?: string;
    usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number };
    timings: Timings;
}

/** How an answer of chat() ended. Texts, counts and times are those of all rounds. */
export interface ChatResult extends Result {
    reasoning: string;
    calls: ToolCall[];
    /**
     * What the answer adds to the conversation: its message, and with calls the messages of all rounds. If it continued
     * the last message, the first of these takes the place of that.
     */
    messages: Message[];
}

/** Tokens, seconds, tokens per second. */
export interface Timings {
    n_prompt: number;
    /** Of them, those that earlier answers had evaluated. */
    n_cached: number;
    n_evaluated: number;
    prompt_s: number;
    n_decoded: number;
    decode_s: number;
    first_token_s: number;
    /** Tokens that were evaluated ahead, because they might follow. */
    n_drafted: number;
    /** Of them, those that followed: their steps took no pass. */
    n_accepted: number;
    prompt_tok_s: number;
    decode_tok_s: number;
}

/** A running generation. It starts immediately, even if nothing reads it. */
export class Generation<R extends Result = Result> implements AsyncIterator<string, R | undefined, undefined> {
    private constructor();
    /** All text so far. */
    readonly text: string;
    /** All reasoning of a chat's answer so far, which `text` lacks. */
    readonly reasoning: string;
    /** The calls of a chat's answer so far. */
    readonly calls: ToolCall[];
    /** Tokens sampled so far, as of the last piece. */
    readonly count: number;
    readonly result: Promise<R>;
    next(): Promise<IteratorResult<string, R | undefined>>;
    return(value?: undefined): Promise<IteratorResult<string, undefined>>;
    [Symbol.asyncIterator](): this;
    /** Text, reasoning, calls and their results apart, from the first on. */
    parts(): AsyncGenerator<Part, R | undefined, undefined>;
    stop(): void;
}

/** A model in the cache. */
export interface CacheEntry {
    name: string;
    size: number;
    complete: boolean;
}

/** A model that a repository of the hub offers. */
export interface HubModel {
    /** hf:owner/repo/file.gguf */
    name: string;
    /** Bytes of all its parts; 0: unknown. */
    size: number;
    /** The address that was asked for means this one. */
    is_meant: boolean;
}

/** An error from Python: `name` is its class. */
export interface GemelError extends Error {
    traceback?: string;
}

export interface EmbedOptions {
    pooling?: "mean" | "first" | "last" | null;
    normalize?: boolean | null;
    /** Only so many numbers of each row. */
    truncate_dim?: number | null;
    /** Comes before each text, such as "search_query: ". */
    prompt?: string | null;
    /** What happens to a text longer than the model's n_ctx. */
    overflow?: "error" | "chunk" | null;
}

export type CountOptions = Pick<
    ChatOptions,
    "template" | "tools" | "template_options" | "continue_final_message" | "add_generation_prompt"
>;

export interface RunOptions {
    onOutput?: ((text: string, stream: "stdout" | "stderr") => void) | null;
}

/** One model in one worker. */
export class Gemel {
    constructor(options?: GemelOptions | null);
    /** null while no model is loaded. */
    readonly info: Info | null;
    readonly cache: { list(): Promise<CacheEntry[]>; delete(name: string): Promise<number> };
    load(model: ModelSource, options?: LoadOptions | null): Promise<Info>;
    generate(prompt: string | ArrayLike<number>, options?: GenerateOptions | null): Generation;
    chat(messages: Message[], options?: ChatOptions | null): Generation<ChatResult>;
    /** How many tokens a text, ids or messages have as a prompt, with the chat template. */
    count(prompt: string | ArrayLike<number> | Message[], options?: CountOptions | null): Promise<number>;
    embed(text: string, options?: EmbedOptions | null): Promise<Float32Array>;
    embed(texts: string[], options?: EmbedOptions | null): Promise<Float32Array[]>;
    /** The models of hf:owner/repo, or of a page of the hub. */
    hubModels(address: string): Promise<HubModel[]>;
    /** Send a request to the loaded model's OpenAI API. Only an address's path and query matter. */
    fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;
    /** The repr of the program's last expression, or null. */
    run(code: string, options?: RunOptions | null): Promise<string | null>;
    stop(): void;
    close(): void;
}
