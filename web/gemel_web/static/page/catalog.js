// The models that the page knows by itself: gemel's short names (a test compares them), and what each is good for.

/** {name, address, size, licence, params, good}. address null: only sites offer it. size: bytes of the download. */
export const KNOWN = [
    {
        name: "smollm2-135m-instruct",
        address: null,
        size: 98_362_432,
        licence: "Apache-2.0",
        params: "135 million",
        good: "Trying things out: quick, and often wrong",
    },
    {
        name: "qwen3-0.6b",
        address: "hf:Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf",
        size: 639_446_688,
        licence: "Apache-2.0",
        params: "0.6 billion",
        good: "Reasons before it answers; many languages",
    },
    {
        name: "gemma-3-1b-it",
        address: "hf:ggml-org/gemma-3-1b-it-GGUF/gemma-3-1b-it-Q4_K_M.gguf",
        size: 806_058_240,
        licence: "Gemma Terms of Use",
        params: "1 billion",
        good: "Everyday chat and short texts",
    },
    {
        name: "llama-3.2-1b-instruct",
        address: "hf:bartowski/Llama-3.2-1B-Instruct-GGUF/Llama-3.2-1B-Instruct-Q4_K_M.gguf",
        size: 807_694_464,
        licence: "Llama 3.2 Community License",
        params: "1.2 billion",
        good: "Summaries and rewriting; eight languages",
    },
    {
        name: "smollm2-1.7b-instruct",
        address: "hf:HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF/smollm2-1.7b-instruct-q4_k_m.gguf",
        size: 1_100_000_000,
        licence: "Apache-2.0",
        params: "1.7 billion",
        good: "Chat, summaries and rewriting in English",
    },
    {
        name: "granite-3.3-2b-instruct",
        address: "hf:ibm-granite/granite-3.3-2b-instruct-GGUF/granite-3.3-2b-instruct-Q4_K_M.gguf",
        size: 1_545_303_328,
        licence: "Apache-2.0",
        params: "2.5 billion",
        good: "Questions about documents, code, tools",
    },
    {
        name: "smollm3-3b",
        address: "hf:ggml-org/SmolLM3-3B-GGUF/SmolLM3-Q4_K_M.gguf",
        size: 1_915_305_312,
        licence: "Apache-2.0",
        params: "3 billion",
        good: "Reasons before it answers; six languages, tools",
    },
    {
        name: "llama-3.2-3b-instruct",
        address: "hf:bartowski/Llama-3.2-3B-Instruct-GGUF/Llama-3.2-3B-Instruct-Q4_K_M.gguf",
        size: 2_019_377_696,
        licence: "Llama 3.2 Community License",
        params: "3.2 billion",
        good: "Longer texts, instructions, tools",
    },
    {
        name: "phi-4-mini-instruct",
        address: "hf:bartowski/microsoft_Phi-4-mini-instruct-GGUF/microsoft_Phi-4-mini-instruct-Q4_K_M.gguf",
        size: 2_491_874_688,
        licence: "MIT",
        params: "3.8 billion",
        good: "Mathematics, logic and code",
    },
];

/** What is known of a model that a site or address calls `name`, or undefined. */
export const knownAs = (name) => KNOWN.find((one) => one.name === name.toLowerCase());

/** The address of a short name, or the name as it is. */
export const addressOf = (name) => (typeof name === "string" ? (knownAs(name)?.address ?? name) : name);
