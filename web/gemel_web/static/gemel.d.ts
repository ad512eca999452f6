/** What `load` takes: a short name, an address, or bytes that the page has. */
export type ModelSource = string | URL | Blob | ArrayBuffer | Uint8Array;

/** Where gemel's files and models come from, and how many threads compute. */
export interface GemelOptions {
    /** The folder of gemel's files; default that of the module itself. */
    base?: string | URL;
    /** 1..256; default the browser's CPUs, at most 8. On a page that is not cross-origin isolated there is one. */
    threads?: number;
    /** A folder that serves the files of short names. */
    models?: string | URL;
}

/** How far a load is. */
export interface Progress {
    stage: "start" | "download" | "load" | "prefill";
    /** Bytes; layers in "prefill". */
    done: number;
    /** 0: not known. */
    total: number;
    /** Of `done` a second. */
    speed: number;
    /** Seconds; null: not known. */
    left: number | null;
}

/** Options of gemel.open_async, by Python's names. */
export interface LoadOptions {
    onProgress?: (progress: Progress) => void;
    signal?: AbortSignal;
    /** Evaluated while the model arrives: a text, ids or messages. */
    prompt?: string | ArrayLike<number> | Message[];
    threads?: number | null;
    isa?: string | null;
    /** false: don't keep what is downloaded. */
    cache?: boolean;
}

/** Facts about the model that is loaded and about what computes it. */
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
    /** Bytes of weights. */
    weight_size: number;
    /** Bytes of KV cache a token. */
    kv_size: number;
    /** Bytes of WebAssembly memory in all, as of the last answer. */
    memory: number;
}

/** The fields of gemel.Sampling. */
export interface Sampling {
    temperature?: number;
    top_k?: number;
    top_p?: number;
    min_p?: number;
    typical_p?: number;
    repeat_penalty?: number;
    frequency_penalty?: number;
    presence_penalty?: number;
    penalty_last_n?: number;
    dry_multiplier?: number;
    dry_base?: number;
    dry_allowed_length?: number;
    dry_last_n?: number;
    dry_breakers?: string[];
    xtc_probability?: number;
    xtc_threshold?: number;
    mirostat?: 0 | 2;
    mirostat_tau?: number;
    mirostat_eta?: number;
    /** An integer from 0; JavaScript's numbers are exact up to 2 ** 53. */
    seed?: number | null;
    /** id -> what is added to its logit. */
    logit_bias?: Map<number, number>;
}

/** Options of Model.generate. */
export interface GenerateOptions extends Sampling {
    max_tokens?: number | null;
    stop?: string | string[];
    special?: boolean;
    n_ctx?: number | null;
}

/** Options of Model.chat and Chat.send. */
export interface ChatOptions extends Sampling {
    max_tokens?: number | null;
    stop?: string | string[];
    n_ctx?: number | null;
    /** A chat template (jinja) in the place of the file's. */
    template?: string | null;
    tools?: unknown[] | null;
    /** Values for the template, such as enable_thinking. */
    template_options?: Record<string, unknown>;
}

/** One turn of a conversation. Templates may know more keys. */
export interface Message {
    role: string;
    content: string;
    [key: string]: unknown;
}

/** How a generation ended. */
export interface Result {
    text: string;
    stop_reason: "stop" | "eos" | "length" | "cancelled";
    /** Given as `seed`, it repeats this run. */
    seed: number;
    usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number };
    timings: Timings;
}

/** Tokens, seconds, tokens a second. */
export interface Timings {
    n_prompt: number;
    n_evaluated: number;
    prompt_s: number;
    n_decoded: number;
    decode_s: number;
    first_token_s: number;
    prompt_tok_s: number;
    decode_tok_s: number;
}

/** A text that is being generated; it begins at once, whether or not it is read. */
export class Generation implements AsyncIterator<string, Result | undefined, undefined> {
    private constructor();
    /** All text so far. */
    readonly text: string;
    /** Tokens drawn so far, as of the last piece. */
    readonly count: number;
    readonly result: Promise<Result>;
    next(): Promise<IteratorResult<string, Result | undefined>>;
    return(value?: undefined): Promise<IteratorResult<string, undefined>>;
    [Symbol.asyncIterator](): this;
    stop(): void;
}

/** A model in the cache. */
export interface CacheEntry {
    name: string;
    size: number;
    complete: boolean;
}

/** What errors of Python look like: `name` is the class's. */
export interface GemelError extends Error {
    traceback?: string;
}

export interface EmbedOptions {
    pooling?: "mean" | "first" | "last";
    normalise?: boolean;
}

export interface RunOptions {
    onOutput?: (text: string, stream: "stdout" | "stderr") => void;
}

/** One model in one worker. */
export class Gemel {
    constructor(options?: GemelOptions);
    /** null while no model is loaded. */
    readonly info: Info | null;
    readonly cache: { list(): Promise<CacheEntry[]>; delete(name: string): Promise<number> };
    load(model: ModelSource, options?: LoadOptions): Promise<Info>;
    generate(prompt: string | ArrayLike<number>, options?: GenerateOptions): Generation;
    chat(messages: Message[], options?: ChatOptions): Generation;
    embed(text: string, options?: EmbedOptions): Promise<Float32Array>;
    embed(texts: string[], options?: EmbedOptions): Promise<Float32Array[]>;
    /** OpenAI's API, answered in the tab by the loaded model; of an address only path and query count. */
    fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;
    /** The repr of the program's last expression, or null. */
    run(code: string, options?: RunOptions): Promise<string | null>;
    stop(): void;
    close(): void;
}
