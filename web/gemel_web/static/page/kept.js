// Which conversation is open, and keeping it: it is stored after each question and answer, and while an answer grows.
// A private one is not. A reload opens the same conversation again.
import { Branches } from "./branches.js";

const LONGEST = 60; // characters of a title
const PACE = 2000; // milliseconds between two saves while an answer grows

/** A conversation's title: the beginning of its first question. */
export function titleOf(question) {
    const line = question.trim().split("\n")[0];
    return line.length > LONGEST ? `${line.slice(0, LONGEST - 1).trimEnd()}…` : line;
}

const newId = () =>
    Array.from(crypto.getRandomValues(new Uint8Array(12)), (one) => one.toString(16).padStart(2, "0")).join("");

export class Kept {
    #store;
    #report; // (words) => void: told once why a conversation is not kept
    #reported = "";
    #saving = Promise.resolve();
    #due = null; // the timer of the next save
    #deleted = new Set(); // ids: an answer that ends later must not bring them back
    #stamps = new Map(); // ids -> the stamp of what this tab has read or stored last
    #channel = channel(); // tells other tabs which conversation was stored or renamed

    constructor(store, report) {
        this.#store = store;
        this.#report = report;
        /** The conversation that was open before a reload, or null. */
        this.before = history.state?.conversation ?? null;
        this.new();
        /** Called when another tab has stored the conversation that is open. */
        this.onElsewhere = () => {};
        /** Called when another tab has renamed a conversation, with its id and title. */
        this.onRenamed = () => {};
        this.#channel?.addEventListener("message", ({ data: { id, title } }) => this.#hear(id, title));
        addEventListener("hashchange", () => this.#mark()); // the link to the message field makes a new entry
    }

    /** Another tab has stored a conversation, or renamed it if there is a title. */
    #hear(id, title) {
        if (title !== undefined) {
            this.#retitle(id, title);
            this.onRenamed(id, title);
        } else if (this.head?.id === id) this.onElsewhere(id);
    }

    /** Begin another conversation. */
    new({ isPrivate = false } = {}) {
        clearTimeout(this.#due);
        this.head = null; // of the stored conversation
        this.isPrivate = isPrivate;
        this.tree = new Branches();
        this.#mark();
    }

    /** The conversation's name for drafts. */
    get id() {
        return this.head?.id ?? "new";
    }

    /** Open a stored conversation; return whether it is there. */
    async open(id) {
        await this.#saving;
        const found = await this.#store.get(id);
        if (found === null) return false;
        const { nodes, ...head } = found;
        const tree = Branches.from(nodes);
        this.new();
        this.#stamps.set(id, head.stamp ?? null);
        Object.assign(this, { head, tree });
        this.#mark();
        return true;
    }

    #mark() {
        try {
            history.replaceState({ ...history.state, conversation: this.head?.id ?? null }, "");
        } catch {
            // a frame that may not: a reload begins a new conversation
        }
    }

    /** Save soon: while an answer grows. */
    soon() {
        this.#due ??= setTimeout(() => this.save(), PACE);
    }

    /** Save now. A failure is reported once. */
    save() {
        clearTimeout(this.#due);
        this.#due = null;
        const first = this.tree.path()[0];
        if (this.isPrivate || first === undefined || this.#deleted.has(this.head?.id)) return;
        const now = Date.now();
        this.head ??= { id: newId(), title: "", created: now, isNamed: false };
        if (!this.head.isNamed) this.head.title = titleOf(first.question);
        Object.assign(this.head, { changed: now, questions: this.tree.path().length });
        this.#mark();
        const record = structuredClone({ ...this.head, nodes: this.tree.toJSON() });
        this.#saving = this.#saving.then(() => this.#put(record));
    }

    async #put(record) {
        if (this.#deleted.has(record.id)) return;
        try {
            const stamp = newId();
            if (await this.#store.put({ ...record, stamp }, this.#stamps.get(record.id)))
                this.#stored(record.id, stamp);
            else await this.#fork(record);
            this.#reported = "";
        } catch (error) {
            const words = whyNot(error);
            if (words !== this.#reported) this.#report(words);
            this.#reported = words;
        }
    }

    #stored(id, stamp) {
        this.#stamps.set(id, stamp);
        this.#channel?.postMessage({ id });
    }

    /** Another tab has stored the conversation too: keep this tab's as a separate one. */
    async #fork(record) {
        const [id, stamp] = [newId(), newId()];
        await this.#store.put({ ...record, id, stamp });
        this.#stored(id, stamp);
        if (this.head?.id !== record.id) return;
        this.head.id = id;
        this.#mark();
        this.#report(FORKED);
    }

    /** Store a conversation that comes from a file: {title, nodes}. */
    async import({ title, nodes }) {
        const now = Date.now();
        const questions = Branches.from(nodes).path().length;
        await this.#store.put({ id: newId(), title, created: now, changed: now, isNamed: true, questions, nodes });
    }

    /** This tab has renamed a conversation: the next save must not undo that, in any tab. */
    renamed(id, title) {
        this.#retitle(id, title);
        this.#channel?.postMessage({ id, title });
    }

    #retitle(id, title) {
        if (this.head?.id === id) Object.assign(this.head, { title, isNamed: true });
    }

    /** Delete a conversation; resolves to what restore() takes. */
    async delete(id) {
        this.#deleted.add(id);
        await this.#saving;
        const record = await this.#store.get(id);
        await this.#store.delete(id);
        return record;
    }

    async restore(record) {
        await this.#store.put(record);
        this.#deleted.delete(record.id);
    }
}

const FORKED =
    "Another tab has changed this conversation, too. What you have here is kept as a separate one: “Chats” lists both.";

/** What tells this site's other tabs; null in a frame that may not. */
function channel() {
    try {
        return new BroadcastChannel("gemel-conversations");
    } catch {
        return null;
    }
}

/** Why a conversation can't be kept, in a visitor's words. */
function whyNot(error) {
    if (error?.name === "QuotaExceededError")
        return "This browser’s storage is full, so this conversation is not kept. Delete conversations or cached models.";
    return `This conversation is not kept: the browser stores nothing for this page (${error?.message ?? error}).`;
}
