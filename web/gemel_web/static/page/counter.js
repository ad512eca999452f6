// Counts the tokens of the next request while the visitor types, and says how many the context has.
import { contextOf } from "./context.js";
import { byId } from "./dom.js";
import { count } from "./format.js";

const PACE = 300; // milliseconds that typing must pause

export class Counter {
    #due = null;
    #asked = 0; // counts that have begun
    #place = byId("count");

    /** @param {object} page  {hosts, settings}  @param {(text: string) => object[]} messagesFor */
    constructor(page, messagesFor) {
        this.page = page;
        this.messagesFor = messagesFor;
    }

    /** The text has changed. */
    typed(text) {
        clearTimeout(this.#due);
        this.#asked++;
        if (text.trim()) this.#due = setTimeout(() => this.#count(text.trim()), PACE);
        else this.#show("", false);
    }

    async #count(text) {
        const asked = ++this.#asked;
        const host = this.page.hosts.current;
        const context = contextOf(host, this.page.settings);
        const many = await host.count(this.messagesFor(text)).catch(() => null); // asking reports what is wrong
        if (asked !== this.#asked) return;
        if (many === null) this.#show("", false);
        else if (context === null) this.#show(`${count(many)} tokens`, false);
        else if (many < context) this.#show(`${count(many)} of ${count(context)} tokens`, false);
        else this.#show(`${count(many)} tokens: more than the context’s ${count(context)}`, true);
    }

    #show(words, isOver) {
        this.#place.textContent = words;
        this.#place.classList.toggle("over", isOver);
    }
}
