// The two hosts, and the switch between them. A host that can't be chosen says why.
import { byId } from "./dom.js";
import { shortName } from "./format.js";
import { NativeHost } from "./native.js";
import { TabHost, unable } from "./tab.js";

const [SHORTEST, LONGEST] = [1000, 30_000]; // milliseconds between two looks for a server that is away

export class Hosts extends EventTarget {
    #radios;

    constructor() {
        super();
        this.tab = new TabHost();
        this.native = new NativeHost();
        /** Models of this site: {alias, url, size}. */
        this.offered = [];
        this.current = this.tab;
        this.#radios = Object.fromEntries(
            [...document.querySelectorAll("input[name=host]")].map((one) => [one.value, one]),
        );
        for (const radio of Object.values(this.#radios)) {
            radio.addEventListener("change", () => {
                this.choose(radio.value);
                // The visitor's choice is stored; choices by code are not.
                this.dispatchEvent(new CustomEvent("chosen", { detail: radio.value }));
            });
        }
    }

    /** Why a host can't be chosen, or null. */
    why(name) {
        return name === "tab" ? unable() : this.native.why;
    }

    /** Why a host's answer can't be compared with the other's, or null. */
    whyNoTwin(name) {
        if (this.tab.source === null) return "no model is chosen for the tab";
        if (this.why(name) !== null) return this.why(name);
        return shortName(this.tab.source) === this.native.model ? null : "the two hosts have different models";
    }

    /** See whether the server is out of reach; if it is, notice when it is back (event "back"). */
    async watch() {
        if (this.#watching) return;
        await this.native.look();
        this.show();
        if (this.native.why === null) return;
        this.#watching = true;
        this.#waitFor();
    }

    #watching = false;

    async #waitFor() {
        for (let pause = SHORTEST; this.native.why !== null; pause = Math.min(LONGEST, 2 * pause)) {
            await Promise.race([
                new Promise((resolve) => setTimeout(resolve, pause)),
                new Promise((resolve) => addEventListener("online", resolve, { once: true })),
            ]);
            await this.native.look();
        }
        this.#watching = false;
        this.show();
        this.dispatchEvent(new Event("back"));
    }

    choose(name) {
        this.current = this[name];
        this.show();
        this.dispatchEvent(new Event("change"));
    }

    /** Show which host is chosen, and which are available. */
    show() {
        for (const [name, radio] of Object.entries(this.#radios)) {
            const why = this.why(name);
            radio.checked = this.current.name === name;
            radio.disabled = why !== null;
            radio.closest("label").title = why ?? "";
        }
        byId("native-why").textContent = this.native.why ?? "";
    }

    /** The name of the model that answers next, or null. */
    get modelName() {
        if (this.current === this.native) return this.native.model ?? "the server’s model";
        return this.tab.source === null ? null : shortName(this.tab.source);
    }
}
