// An answer's speed, memory and host: the plot, and the facts below it.
import { byId } from "./dom.js";
import { bytes, count, rate, seconds } from "./format.js";
import { Plot } from "./plot.js";

const FLAVOURS = {
    wasmrelaxed: "relaxed SIMD",
    wasmpairs: "relaxed SIMD",
    wasm128: "SIMD 128",
    avx512vnni: "AVX-512 VNNI",
    avxvnni: "AVX-VNNI",
    avx2: "AVX2",
    neoni8mm: "NEON i8mm",
    neondot: "NEON dotprod",
    neon: "NEON",
    scalar: "none (scalar)",
};

export class Figures {
    #host = null;

    constructor() {
        this.plot = new Plot(byId("plot"), byId("plot-scale"));
    }

    #set(name, value, title = "") {
        const place = byId(`fact-${name}`);
        if (place.textContent !== value) place.textContent = value;
        place.title = title;
    }

    /** Show which host answers. */
    where(name, label, detail = "") {
        const place = byId("where");
        place.dataset.host = name;
        place.textContent = label;
        place.title = detail;
    }

    /** Show what the file lacks or has wrong. */
    #warn(warnings) {
        const lines = warnings.map((words) => {
            const line = document.createElement("li");
            line.textContent = words;
            return line;
        });
        byId("warnings").replaceChildren(...lines);
        byId("warnings").hidden = !lines.length;
    }

    /** Show facts about the engine; null: they are unknown. */
    engine(info) {
        this.#warn(info?.warnings ?? []);
        if (info === null) {
            const why = this.#host.name === "tab" ? "no model is loaded yet" : "the server does not report it";
            for (const name of ["memory", "threads", "isa", "engine"]) this.#set(name, "–", why);
            return;
        }
        this.#set("memory", bytes(info.memory), info.memoryOf);
        this.#set("threads", String(info.threads));
        this.#set("isa", FLAVOURS[info.isa] ?? info.isa);
        this.#set("engine", info.engine, info.why);
    }

    begin(host) {
        this.#host = host;
        this.plot.begin(host.name);
        this.where(host.name, host.label);
        this.engine(host.info ?? null);
        byId("now").textContent = "–";
        for (const name of ["first", "prompt", "tokens"]) this.#set(name, "–");
    }

    piece(n) {
        const speed = this.plot.note(n);
        if (speed !== null) byId("now").textContent = rate(speed);
        return speed;
    }

    /** @param {number | null} context  how many tokens prompt and answer may have */
    end({ usage, timings }, info, context) {
        this.engine(info);
        const n_ctx = context === null ? "" : ` of ${count(context)}`;
        if (usage.prompt_tokens !== null)
            this.#set("tokens", `${count(usage.prompt_tokens + usage.completion_tokens)}${n_ctx}`);
        if (timings.first_token_s) this.#set("first", seconds(timings.first_token_s));
        if (timings.prompt_tok_s) this.#set("prompt", `${rate(timings.prompt_tok_s)} tokens/s`);
        if (timings.decode_tok_s) {
            byId("now").textContent = rate(timings.decode_tok_s);
            this.plot.end(timings.decode_tok_s);
        }
    }
}
