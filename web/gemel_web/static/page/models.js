// The models' dialog: the site's models, an address, a file, and the browser's cache.
import { byId, icon, make } from "./dom.js";
import { bytes, shortName } from "./format.js";

/** A list item: a button that chooses a model, and further elements. */
function row(name, detail, choose, chosen, ...more) {
    const words = [make("span", { class: "row-name" }, name), make("span", { class: "row-detail" }, detail)];
    const pick =
        choose === null
            ? make("span", { class: "pick" }, ...words)
            : make(
                  "button",
                  { type: "button", class: "pick", "aria-pressed": String(chosen), on: { click: choose } },
                  ...words,
              );
    return make("li", {}, pick, ...more);
}

export class ModelsPanel {
    /** @param {object} page  {hosts, choose(source), chooseServed(alias)}  @param {{alias, url, size}[]} offered */
    constructor(page, dialog, offered) {
        this.page = page;
        this.dialog = dialog;
        this.offered = offered;
        const load = (event) => {
            event.preventDefault();
            const name = byId("name").value.trim();
            if (name) this.#choose(name);
        };
        byId("by-name").addEventListener("submit", load);
        byId("by-name").querySelector("button").addEventListener("click", load);
        byId("name").addEventListener("keydown", (event) => {
            if (event.key === "Enter" && !event.isComposing) load(event); // a sandboxed frame may submit no form
        });
        byId("file").addEventListener("change", () => {
            const [file] = byId("file").files;
            if (file) this.#choose(file);
            byId("file").value = "";
        });
    }

    #choose(source) {
        this.dialog.close();
        this.page.choose(source);
    }

    show() {
        const { tab, native, current } = this.page.hosts;
        const chosen = (source) => current === tab && tab.source === source;
        byId("offered").replaceChildren(
            ...this.offered.map(({ alias, url, size }) =>
                row(alias, bytes(size), () => this.#choose(url), chosen(url)),
            ),
        );
        if (!this.offered.length)
            byId("offered").append(
                make("li", { class: "none" }, "This site offers no models: enter a name, or pick a file."),
            );
        byId("served-section").hidden = native.why !== null || !native.models.length;
        byId("served").replaceChildren(
            ...native.models.map((alias) =>
                row(
                    alias,
                    "runs on the server",
                    () => {
                        this.dialog.close();
                        this.page.chooseServed(alias);
                    },
                    current === native && native.model === alias,
                ),
            ),
        );
        this.#showCache();
    }

    async #showCache() {
        const help = byId("cached-help");
        help.textContent = "Reading the cache …";
        try {
            const entries = await this.page.hosts.tab.gemel.cache.list();
            byId("cached").replaceChildren(...entries.map((entry) => this.#cached(entry)));
            const sum = entries.reduce((all, { size }) => all + size, 0);
            help.textContent = entries.length
                ? `${bytes(sum)} in total. Cached models load offline.`
                : "Nothing yet. Each model is downloaded once.";
        } catch (error) {
            byId("cached").replaceChildren();
            help.textContent = `The cache can’t be read: ${error.message}`;
        }
    }

    #cached({ name, size, complete }) {
        const { tab, current } = this.page.hosts;
        const address = /^[a-z]+:/i.test(name);
        const detail = `${bytes(size)}${complete ? "" : ", incomplete: loading it resumes the download"}`;
        const remove = make(
            "button",
            {
                type: "button",
                class: "act",
                "aria-label": `Delete ${shortName(name)}`,
                on: { click: () => this.#delete(name, remove) },
            },
            icon("remove"),
            make("span", {}, "Delete"),
        );
        const source = this.offered.find(({ url }) => url === name)?.url ?? name;
        const item = row(
            shortName(name),
            detail,
            address ? () => this.#choose(source) : null,
            current === tab && tab.source === source,
            remove,
        );
        item.title = name;
        return item;
    }

    async #delete(name, pressed) {
        pressed.disabled = true;
        const help = byId("cached-help");
        try {
            const freed = await this.page.hosts.tab.gemel.cache.delete(name);
            pressed.closest("li").remove();
            help.textContent = `${shortName(name)} was deleted: ${bytes(freed)} freed.`;
            this.dialog.querySelector(".close").focus();
        } catch (error) {
            pressed.disabled = false;
            help.textContent = `${shortName(name)} could not be deleted: ${error.message}`;
        }
    }
}
