// wllama as its README shows it; ?options= names the version and the number of threads. CPU only (no WebGPU device is
// requested), no warm-up at load, no prompt cache: each run evaluates its prompt. Flash attention is off if it is
// optional: that is faster here.
let version;
let Wllama;
let wllama;
let banned;

export async function start(options) {
    version = options.version;
    const base = `/npm/wllama-${version}/esm`;
    ({ Wllama } = await import(`${base}/index.min.js`));
    const paths =
        version === 2
            ? {
                  "single-thread/wllama.wasm": `${base}/single-thread/wllama.wasm`,
                  "multi-thread/wllama.wasm": `${base}/multi-thread/wllama.wasm`,
              }
            : { default: `${base}/wasm/wllama.wasm` };
    const quiet = { debug() {}, log() {}, warn: console.warn, error: console.error };
    wllama = new Wllama(paths, { suppressNativeLog: true, logger: quiet });
}

export async function open(url, { threads, n_ctx }) {
    const own = version === 2 ? {} : { n_gpu_layers: 0, n_parallel: 1, warmup: false, flash_attn: false };
    await wllama.loadModelFromUrl(new URL(url, location.href).href, { n_threads: threads, n_ctx, ...own });
    banned = [...wllama.getLoadedContextInfo().list_tokens_eog];
    return { threads: wllama.getNumThreads(), multithread: wllama.isMultithread() };
}

export function generate(prompt, n, onToken) {
    return version === 2 ? generate2(prompt, n, onToken) : generate3(prompt, n, onToken);
}

async function generate2(prompt, n, onToken) {
    let tokens = 0;
    const text = await wllama.createCompletion(prompt, {
        nPredict: n,
        // the names that its core reads; its documented logit_bias has no effect
        sampling: { temp: 0, top_k: 1, logit_bias_toks: banned, logit_bias_vals: banned.map(() => -1e9) },
        onNewToken: () => {
            tokens++;
            onToken();
        },
    });
    const ids = await wllama.tokenize(prompt, true);
    const bos = Number(wllama.mustAddBosToken() && ids[0] !== wllama.getBOS()); // wllama adds a missing BOS
    return { n_prompt: ids.length + bos, n_tokens: tokens, text };
}

async function generate3(prompt, n, onToken) {
    let text = "";
    let last;
    await wllama.createCompletion({
        prompt,
        max_tokens: n,
        temperature: 0,
        top_k: 1,
        ignore_eos: true,
        cache_prompt: false,
        stream: true,
        onData: (chunk) => {
            if (!chunk.choices?.[0]?.finish_reason) onToken();
            text += chunk.choices?.[0]?.text ?? "";
            last = chunk;
        },
    });
    const { usage, timings } = last;
    return { n_prompt: usage?.prompt_tokens, n_tokens: usage?.completion_tokens, timings, text };
}
