// Tells screen readers what happens: one sentence at a time, in the page's live region.
import { byId, make } from "./dom.js";
import { bytes } from "./format.js";

export function announce(words) {
    byId("announcer").replaceChildren(make("p", {}, words));
}

/** Announces the start of a load, and the quarters of its download. */
export class Quarters {
    #told = -1; // the quarter
    #starts = false;

    /** @param {import("../gemel.js").Progress} progress */
    take({ stage, done, total }) {
        if (stage === "start" && total && done < total && !this.#starts) {
            this.#starts = true;
            announce(`Starting Python: ${bytes(total)}, once.`);
        }
        if (stage !== "download" || !total) return;
        const quarter = Math.floor((4 * done) / total);
        if (quarter <= this.#told) return;
        const isFirst = this.#told < 0;
        this.#told = quarter;
        if (isFirst && quarter < 4) announce(`Downloading the model: ${bytes(total)}, once.`);
        else if (!isFirst) announce(quarter === 4 ? "The model is downloaded." : `${25 * quarter} percent downloaded.`);
    }
}
