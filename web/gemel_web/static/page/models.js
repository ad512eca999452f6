// The models' dialog: what this site offers, an address, a file, and what the browser keeps.
import { byId, icon, make } from "./dom.js";
import { bytes, shortName } from "./format.js";

/** A row: a button that chooses, and what else there is to it. */
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
        byId("by-name").addEventListener("submit", (event) => {
            event.preventDefault();
            const name = byId("name").value.trim();
            if (name) this.#choose(name);
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
                make("li", { class: "none" }, "This site offers no model: name one, or pick a file."),
            );
        byId("served-section").hidden = native.why !== null || !native.models.length;
        byId("served").replaceChildren(
            ...native.models.map((alias) =>
                row(
                    alias,
                    "computed by the server",
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
        help.textContent = "Looking …";
        try {
            const entries = await this.page.hosts.tab.gemel.cache.list();
            byId("cached").replaceChildren(...entries.map((entry) => this.#cached(entry)));
            const sum = entries.reduce((all, { size }) => all + size, 0);
            help.textContent = entries.length
                ? `${bytes(sum)} in all. Kept models load without a network.`
                : "Nothing yet. A model is downloaded once.";
        } catch (error) {
            byId("cached").replaceChildren();
            help.textContent = `Can’t be looked into: ${error.message}`;
        }
    }

    #cached({ name, size, complete }) {
        const { tab, current } = this.page.hosts;
        const address = /^[a-z]+:/i.test(name);
        const detail = `${bytes(size)}${complete ? "" : ", not complete: goes on where it stopped"}`;
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
            help.textContent = `${shortName(name)} was deleted: ${bytes(freed)} are free again.`;
            this.dialog.querySelector(".close").focus();
        } catch (error) {
            pressed.disabled = false;
            help.textContent = `${shortName(name)} could not be deleted: ${error.message}`;
        }
    }
}
