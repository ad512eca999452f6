// Two bars while a model loads: the upper one shows the download, the lower one the loading.
import { words } from "../words.js";
import { Quarters } from "./announce.js";
import { make } from "./dom.js";
import { keepsModels } from "./tab.js";

const keeps = keepsModels(); // a promise

export class ProgressView {
    #download = make("progress", { max: "1", class: "arrives", "aria-label": "Downloading" });
    #load = make("progress", { max: "1", class: "made", value: "0", "aria-label": "Loading" });
    #words = make("span", { class: "words" }, "Starting");
    #downloads = false;
    #quarters = new Quarters();
    #kept = ""; // that the download is the only one

    constructor() {
        keeps.then((is) => (this.#kept = is ? " · once, kept in this browser" : " · not kept in this browser"));
        this.element = make(
            "div",
            { class: "loading" },
            make("div", { class: "pair" }, this.#download, this.#load),
            this.#words,
        );
    }

    /** @param {import("../gemel.js").Progress} progress */
    show(progress) {
        const { stage, done, total } = progress;
        this.#quarters.take(progress);
        const part = total ? done / total : 0;
        if (stage === "start") {
            if (done > 0 && done < total) this.#download.value = part;
            else this.#download.removeAttribute("value");
        } else if (stage === "download") {
            this.#downloads = done < total || total === 0;
            this.#download.value = part;
        } else if (stage === "load" || stage === "prefill") {
            this.#load.value = part;
            if (stage === "load" && !this.#downloads) this.#download.value = Math.max(part, this.#download.value);
        }
        if (stage === "start" && part < 1 && total) this.#words.textContent = `${words(progress)} · once`;
        else if (stage === "download" && this.#downloads) this.#words.textContent = words(progress) + this.#kept;
        else if (stage === "offline" || !this.#downloads) this.#words.textContent = words(progress);
    }
}
