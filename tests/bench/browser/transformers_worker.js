// The worker's side of transformers.js: dtype and threads by ?options=, models from this server, tokens one by one.
import { answer } from "./worker.js";

let library;
let tokenizer;
let model;

async function start({ threads }) {
    library = await import("/npm/@huggingface/transformers/dist/transformers.min.js");
    const { env } = library;
    env.allowRemoteModels = false;
    env.allowLocalModels = true;
    env.localModelPath = "/models/";
    env.backends.onnx.wasm.wasmPaths = new URL("/npm/onnxruntime-web/dist/", self.location.href).href;
    env.backends.onnx.wasm.numThreads = threads;
}

async function open(url, { dtype }) {
    const name = url.split("/").at(-1);
    tokenizer = await library.AutoTokenizer.from_pretrained(name);
    model = await library.AutoModelForCausalLM.from_pretrained(name, { dtype, device: "wasm" });
    return { threads: library.env.backends.onnx.wasm.numThreads };
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

answer({ start, open, generate });
