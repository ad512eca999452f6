// The models' dialog: a table of known models and what this device makes of them, the files of a repository, a file of
// the visitor's, and the browser's cache.
import { addressOf, KNOWN, knownAs } from "./catalog.js";
import { device, fit } from "./device.js";
import { byId, icon, make } from "./dom.js";
import { bytes, count, rate, shortName } from "./format.js";
import { HubList, isRepository } from "./hub_list.js";

const GUESSED = { measured: "measured", other: "estimate", guess: "rough guess" };

/** A list item: a button that chooses a model, and further elements. */
export function row(name, detail, choose, chosen, ...more) {
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
    #device = null; // what it has, once that is known
    #kept = []; // the cache's entries

    /**
     * @param {object} page  {hosts, speeds, sizes, choose(source), chooseServed(alias)}
     * @param {{alias, url, size}[]} offered
     */
    constructor(page, dialog, offered) {
        this.page = page;
        this.dialog = dialog;
        this.offered = offered;
        this.hub = new HubList(page.hosts.tab.gemel, (one) => this.#offer(one));
        const load = (event) => {
            event.preventDefault();
            this.#find(byId("name").value.trim());
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

    /** Load what was typed, or list the files of a repository. */
    #find(name) {
        if (!name) return;
        if (isRepository(name)) this.hub.show(name);
        else this.#choose(addressOf(name));
    }

    async show() {
        const { native, current } = this.page.hosts;
        this.hub.clear();
        this.#showTable();
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
        const [has] = await Promise.all([device(), this.#showCache()]);
        this.#device = has;
        this.#showTable();
    }

    // ---- The table --------------------------------------------------------------------------------------------------

    #showTable() {
        const offered = this.offered.map(({ alias, url, size }) => ({ ...knownAs(alias), name: alias, url, size }));
        const names = this.offered.map(({ alias }) => alias.toLowerCase());
        const known = KNOWN.filter(({ name, address }) => address !== null && !names.includes(name));
        const lines = (models) => models.map((one) => this.#line(one));
        const had = document.activeElement?.closest?.("#catalog tr")?.dataset.name;
        byId("offered").replaceChildren(heading("From this site"), ...lines(offered));
        if (!offered.length) byId("offered").append(none("This site offers no models."));
        byId("known").replaceChildren(
            heading("From the hub"),
            ...lines(known.map((one) => ({ ...one, url: one.address }))),
        );
        if (had) this.dialog.querySelector(`#catalog tr[data-name="${CSS.escape(had)}"] button`)?.focus();
    }

    #line({ name, url, size, licence, params, good }) {
        const { tab, current } = this.page.hosts;
        const kept = this.#kept.find((one) => one.name === url);
        const chosen = current === tab && tab.source === url;
        const about = [params ? `${params} weights` : "", good ?? ""].filter(Boolean).join(" · ");
        const pick = make(
            "button",
            { type: "button", class: "pick", "aria-pressed": String(chosen), on: { click: () => this.#choose(url) } },
            make("span", { class: "row-name" }, name),
        );
        const words = make("span", { class: "row-about" }, about || "No description");
        const download = [bytes(size), ...(kept ? [make("span", { class: "tag" }, keptWords(kept))] : [])];
        return make(
            "tr",
            { role: "row", "data-name": name },
            make("th", { role: "rowheader", scope: "row" }, pick, words),
            cell("Download", ...download),
            cell("Speed here", this.#speed(url, size)),
            cell("This device", this.#fits(size, kept?.complete === true)),
            cell("Licence", licence ?? "not stated"),
        );
    }

    #speed(url, size) {
        const found = this.#device && this.page.speeds.of(shortName(url), size, this.#device);
        if (!found) return "…";
        return make("span", {}, speedWords(found), make("span", { class: "tag" }, GUESSED[found.from]));
    }

    #fits(size, kept) {
        if (this.#device === null) return "…";
        const { level, words } = fit(size, this.#device, kept);
        return make("span", { class: "fit", "data-fit": level }, words);
    }

    /** A file of a repository as a list item. */
    #offer({ name, size, is_meant: isMeant }) {
        const file = name.slice(name.lastIndexOf("/") + 1);
        const found = this.#device && this.page.speeds.of(shortName(name), size, this.#device);
        const facts = [size ? bytes(size) : "size unknown"];
        if (found) facts.push(speedWords(found));
        if (this.#device !== null) facts.push(fit(size, this.#device).words);
        if (isMeant) facts.push("suggested");
        this.page.sizes.note(name, size);
        const item = row(file, facts.join(" · "), () => this.#choose(name), false);
        item.title = name;
        return item;
    }

    // ---- The cache --------------------------------------------------------------------------------------------------

    async #showCache() {
        const help = byId("cached-help");
        help.textContent = "Reading the cache …";
        try {
            const entries = await this.page.hosts.tab.gemel.cache.list();
            this.#kept = entries;
            byId("cached").replaceChildren(...entries.map((entry) => this.#cached(entry)));
            const sum = entries.reduce((all, { size }) => all + size, 0);
            help.textContent = entries.length
                ? `${bytes(sum)} in total. Cached models load offline.`
                : "Nothing yet. Each model is downloaded once.";
        } catch (error) {
            this.#kept = [];
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
            this.#kept = this.#kept.filter((one) => one.name !== name);
            this.#showTable();
            this.dialog.querySelector(".close").focus();
        } catch (error) {
            pressed.disabled = false;
            help.textContent = `${shortName(name)} could not be deleted: ${error.message}`;
        }
    }
}

const speedWords = ({ rate: speed, from }) =>
    from === "measured" ? `${rate(speed)} tokens/s` : `about ${count(Math.max(1, Math.round(speed)))} tokens/s`;

const keptWords = ({ complete, size }) => (complete ? "kept here" : `${bytes(size)} kept here`);

/** The name of a group of rows. */
const heading = (words) =>
    make(
        "tr",
        { role: "row" },
        make("th", { role: "rowheader", class: "group", colspan: "5", scope: "rowgroup" }, words),
    );

const none = (words) => make("tr", { role: "row" }, make("td", { role: "cell", class: "none", colspan: "5" }, words));

/** A cell that a narrow page shows with its column's name. */
const cell = (label, ...inside) => make("td", { role: "cell", "data-label": label }, ...inside);
