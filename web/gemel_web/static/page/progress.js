// The two bars while a model comes: the upper one is what arrives, the lower one what is made ready of it.
import { words } from "../words.js";
import { make } from "./dom.js";

export class ProgressView {
    #arrives = make("progress", { max: "1", class: "arrives", "aria-label": "Arriving" });
    #ready = make("progress", { max: "1", class: "made", value: "0", "aria-label": "Made ready" });
    #words = make("span", { class: "words" }, "Starting");
    #downloads = false;

    constructor() {
        this.element = make(
            "div",
            { class: "loading" },
            make("div", { class: "pair" }, this.#arrives, this.#ready),
            this.#words,
        );
    }

    /** @param {import("../gemel.js").Progress} progress */
    show(progress) {
        const { stage, done, total } = progress;
        const part = total ? done / total : 0;
        if (stage === "download") {
            this.#downloads = done < total || total === 0;
            this.#arrives.value = part;
        } else if (stage === "load" || stage === "prefill") {
            this.#ready.value = part;
            if (stage === "load" && !this.#downloads) this.#arrives.value = Math.max(part, this.#arrives.value);
        }
        if (stage === "download" || !this.#downloads) this.#words.textContent = words(progress);
    }
}
