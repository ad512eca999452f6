// Lists the files of a repository whose address was typed or pasted, to choose one.
import { byId } from "./dom.js";
import { ended } from "./format.js";

const FILE = /\.gguf([?#].*)?$/i;

/** Whether an address may be a repository's or a page's: not a file, which loads by itself. */
export function isRepository(name) {
    if (/^hf:/i.test(name)) return true;
    return /^https?:\/\//i.test(name) && (!FILE.test(name) || /\/blob\//.test(name));
}

export class HubList {
    #asked = 0; // lists that were asked for

    /** @param {import("../gemel.js").Gemel} gemel  @param {(model: object) => HTMLElement} item */
    constructor(gemel, item) {
        this.gemel = gemel;
        this.item = item;
    }

    clear() {
        this.#asked++;
        byId("hub-list").replaceChildren();
        byId("hub-help").textContent = "";
    }

    async show(address) {
        this.clear();
        const asked = this.#asked;
        const help = byId("hub-help");
        help.textContent = "Asking the hub for the files …";
        try {
            const found = await this.gemel.hubModels(address);
            if (asked !== this.#asked) return;
            byId("hub-list").replaceChildren(...found.map(this.item));
            help.textContent =
                found.length === 1 ? "1 model: press it to load it." : `${found.length} models: choose one.`;
        } catch (error) {
            if (asked === this.#asked) help.textContent = ended(error.message);
        }
    }
}
