// The worker's side of transformers.js: dtype and threads by ?options=, models from this server, tokens one by one.
// An encoder has batch, too: how many texts a call embeds.
import { answer } from "./worker.js";

let library;
let tokenizer;
let model;
let extract;

async function start({ threads }) {
    library = await import("/npm/@huggingface/transformers/dist/transformers.min.js");
    const { env } = library;
    env.allowRemoteModels = false;
    env.allowLocalModels = true;
    env.localModelPath = "/models/";
    env.backends.onnx.wasm.wasmPaths = new URL("/npm/onnxruntime-web/dist/", self.location.href).href;
    env.backends.onnx.wasm.numThreads = threads;
}

async function open(url, { dtype, batch }) {
    const name = url.split("/").at(-1);
    if (batch) extract = await embedder(name, dtype, batch);
    else await openDecoder(name, dtype);
    return { threads: library.env.backends.onnx.wasm.numThreads };
}

/** Return a function that embeds texts, `batch` in a call, as the library's documentation does. */
async function embedder(name, dtype, batch) {
    const pipe = await library.pipeline("feature-extraction", name, { dtype, device: "wasm" });
    return async (texts) => {
        const rows = [];
        for (let i = 0; i < texts.length; i += batch) {
            const found = await pipe(texts.slice(i, i + batch), { pooling: "mean", normalize: true });
            const [n, size] = found.dims;
            for (let k = 0; k < n; k++) rows.push(found.data.subarray(k * size, (k + 1) * size));
        }
        return rows;
    };
}

async function openDecoder(name, dtype) {
    tokenizer = await library.AutoTokenizer.from_pretrained(name);
    model = await library.AutoModelForCausalLM.from_pretrained(name, { dtype, device: "wasm" });
}

async function generate(prompt, n, onToken) {
    const inputs = tokenizer(prompt);
    const n_prompt = inputs.input_ids.dims[1];
    let puts = 0;
    class Streamer extends library.BaseStreamer {
        put() {
            if (puts++) onToken(); // the first call has the prompt
        }
        end() {}
    }
    const out = await model.generate({
        ...inputs,
        do_sample: false,
        max_new_tokens: n,
        min_new_tokens: n,
        streamer: new Streamer(),
    });
    const ids = out.tolist()[0].slice(n_prompt);
    return { n_prompt, n_tokens: ids.length, text: tokenizer.decode(ids) };
}

const embed = (texts) => extract(texts);

answer({ start, open, generate, embed });
