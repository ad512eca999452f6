// The worker's side of gemel: Pyodide is the runtime; opening a model begins with installing the wheel.
// ?options=: wheel (its address), threads, engine ("threads": the threaded engine even for one thread), relaxed (false:
// as in a browser without relaxed SIMD), ends (the ids that end a text, which are forbidden).
import { loadPyodide } from "/npm/pyodide/pyodide.mjs";
import { answer } from "./worker.js";

const PROGRAM = `
import gemel

async def open_model(url, threads, engine, relaxed, prompt, ends):
    global model, banned
    if not relaxed:
        from gemel.tab import features
        features.has_relaxed_simd = lambda: False
    if engine == "threads":
        await gemel.browser.start(threads)
    ahead = {} if prompt is None else {"prompt": prompt}
    model = await gemel.open_async(url, threads=threads, **ahead)
    banned = dict.fromkeys(ends.to_py(), float("-inf"))
    info = model.info
    return {"engine": info.engine, "isa": info.isa, "threads": info.threads, "why": info.why}

def generate(prompt, n, arrived):
    generation = model.generate(prompt, max_tokens=n, temperature=0, logit_bias=banned)
    for _ in generation:
        arrived()
    timings = generation.timings
    return {
        "n_prompt": len(generation.prompt_ids), "n_tokens": len(generation.ids), "text": generation.text,
        "prompt_s": timings.prompt_s, "decode_s": timings.decode_s,
    }

def embed(texts):
    return model.embed(texts.to_py())
`;
let pyodide;

async function start() {
    pyodide = await loadPyodide({ indexURL: "/npm/pyodide/" });
}

async function open(url, { wheel, threads, engine = "", relaxed = true, prompt = undefined, ends = [] }) {
    const called = performance.now();
    const site = pyodide.runPython("import sysconfig; sysconfig.get_path('purelib')");
    pyodide.unpackArchive(await (await fetch(wheel)).arrayBuffer(), "whl", { extractDir: site }); // as gemel.js does
    await pyodide.runPythonAsync(PROGRAM);
    const install = performance.now() - called;
    const address = new URL(url, self.location.href).href;
    return {
        ...plain(await pyodide.globals.get("open_model")(address, threads, engine, relaxed, prompt, ends)),
        install,
    };
}

const generate = async (prompt, n, onToken) => plain(pyodide.globals.get("generate")(prompt, n, onToken));

/** A Float32Array for each text. */
const embed = async (texts) => plain(pyodide.globals.get("embed")(texts));

const plain = (proxy) => proxy.toJs({ dict_converter: Object.fromEntries });

answer({ start, open, generate, embed });
