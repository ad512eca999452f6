// Asks before a large download, and before any on a connection that costs. What is stored already needs no question.

import { device, fit } from "./device.js";
import { make } from "./dom.js";
import { bytes, shortName } from "./format.js";

const LARGE = 500e6; // bytes

/** The visitor said no. */
export class DeclinedError extends Error {
    name = "DeclinedError";
}

/** A dialog with a question; resolves to whether the answer was yes. */
function asked(title, lines, yes, signal) {
    return new Promise((resolve) => {
        let answer = false;
        const close = (is) => () => {
            answer = is;
            dialog.close();
        };
        const dialog = make(
            "dialog",
            { class: "sheet ask", "aria-labelledby": "ask-title", "aria-describedby": "ask-words" },
            make("div", { class: "head" }, make("h2", { id: "ask-title" }, title)),
            make(
                "div",
                { class: "body" },
                make("div", { id: "ask-words" }, ...lines.map((line) => make("p", {}, line))),
                make(
                    "p",
                    { class: "row" },
                    make("button", { type: "button", class: "plain primary", on: { click: close(true) } }, yes),
                    make("button", { type: "button", class: "plain", on: { click: close(false) } }, "Not now"),
                ),
            ),
        );
        const stop = () => dialog.close();
        dialog.addEventListener("close", () => {
            signal?.removeEventListener("abort", stop);
            dialog.remove();
            resolve(answer);
        });
        signal?.addEventListener("abort", stop);
        document.body.append(dialog);
        dialog.showModal();
    });
}

export class Consent {
    #given = new Set(); // sources that the visitor agreed to

    /** @param {object} tab  the host  @param {object} sizes  {of(source), note(source, size)} */
    constructor(tab, sizes) {
        this.tab = tab;
        this.sizes = sizes;
    }

    /** Throw a DeclinedError unless a model may be downloaded: it is small, kept, a file, or the visitor agrees. */
    async need(source, signal) {
        if (typeof source !== "string" || this.#given.has(source)) return;
        const has = await device();
        const known = this.sizes.known(source);
        if (!has.isMetered && known !== null && known <= LARGE) return;
        if (await this.#isKept(source)) return;
        const size = await this.sizes.of(source);
        if (!has.isMetered && (size === null || size <= LARGE)) return;
        signal?.throwIfAborted();
        const what = size === null ? "a model" : bytes(size);
        const { level, words } = fit(size, has);
        const lines = [
            `${shortName(source)} is downloaded once and then kept in this browser.`,
            ...(has.isMetered ? ["This connection saves data, or may cost money."] : []),
            ...(level === "no" || level === "tight" ? [`On this device: ${words}.`] : []),
        ];
        if (!(await asked(`Download ${what}?`, lines, "Download", signal))) {
            signal?.throwIfAborted();
            throw new DeclinedError("The model was not downloaded");
        }
        this.#given.add(source);
    }

    async #isKept(source) {
        const entries = await this.tab.gemel.cache.list().catch(() => []);
        return entries.some(({ name, complete }) => name === source && complete);
    }
}

/** The sizes of downloads: those that the page knows, and those that servers say. */
export class Sizes {
    #known = new Map();

    constructor(gemel) {
        this.gemel = gemel;
    }

    note(source, size) {
        if (size) this.#known.set(source, size);
    }

    known(source) {
        return this.#known.get(source) ?? null;
    }

    /** Whether a model is known to need no question. */
    isSmall(source) {
        return this.#known.get(source) <= LARGE;
    }

    /** The bytes of a model's download, or null: nobody says. */
    async of(source) {
        if (!this.#known.has(source)) this.note(source, await this.#asked(source).catch(() => null));
        return this.known(source);
    }

    async #asked(source) {
        if (/^hf:/i.test(source)) return (await this.gemel.hubModels(source)).find((one) => one.is_meant)?.size;
        if (!/^https?:/i.test(source)) return null;
        const answer = await fetch(source, { method: "HEAD", credentials: "omit" });
        return answer.ok ? Number(answer.headers.get("Content-Length")) : null;
    }
}
