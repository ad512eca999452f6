// A conversation as a tree: a question has versions beside it, and each version has what followed it. One path through
// the tree is shown. Knows nothing of the page, and checks what it is made from: a file may hold anything.

import { storedFiles } from "./files.js";
import { storedTokens } from "./tokens.js";

const LIMIT = 2_000_000; // characters of a text
const MOST = 10_000; // questions of a conversation

const isText = (value) => typeof value === "string" && value.length <= LIMIT;
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const numberOr = (value, other) => (Number.isFinite(value) ? value : other);
const textOr = (value, other) => (isText(value) ? value : other);
const HOSTS = ["tab", "native"];

export class Branches {
    #nodes = new Map(); // id -> {id, parent, question, files, answer, forgotten, shown}
    #last = 0;

    get isEmpty() {
        return this.#nodes.size === 0;
    }

    /** Add a question below another (null: as a first one), and show it. */
    add(parent, question, files = []) {
        const node = { id: ++this.#last, parent: parent?.id ?? null, question, files, answer: null, forgotten: false };
        this.#nodes.set(node.id, node);
        this.show(node);
        return node;
    }

    /** Remove a question that nothing follows. */
    remove(node) {
        this.#nodes.delete(node.id);
        const left = this.versions(node);
        if (left.length && node.shown) this.show(left.at(-1));
    }

    hasMore(node) {
        return this.#below(node.id).length > 0;
    }

    /** The question and its other versions, in the order in which they were asked. */
    versions(node) {
        return this.#below(node.parent);
    }

    #below(id) {
        return [...this.#nodes.values()].filter(({ parent }) => parent === id);
    }

    /** Show this version in the place of the others. */
    show(node) {
        for (const one of this.versions(node)) one.shown = one === node;
    }

    /** The questions that are shown, from the first on. */
    path() {
        const found = [];
        for (let below = this.#below(null); below.length; below = this.#below(found.at(-1).id))
            found.push(below.find(({ shown }) => shown) ?? below.at(-1));
        return found;
    }

    /** What from() takes. */
    toJSON() {
        return [...this.#nodes.values()];
    }

    /** Make a tree of records. TypeError for what is not a conversation. */
    static from(records) {
        if (!Array.isArray(records) || records.length > MOST) throw new TypeError("it has no list of questions");
        const made = new Branches();
        for (const one of records) {
            const isKnown = one?.parent === null || made.#nodes.has(one?.parent);
            if (!isObject(one) || !Number.isSafeInteger(one.id) || !isText(one.question) || !isKnown)
                throw new TypeError("one of its questions is damaged");
            made.#last = Math.max(made.#last, one.id);
            const { id, parent, question } = one;
            const [forgotten, shown] = [one.forgotten === true, one.shown === true];
            const files = storedFiles(one.files);
            made.#nodes.set(id, { id, parent, question, files, answer: answerOf(one.answer), forgotten, shown });
        }
        return made;
    }
}

/** An answer with all of its fields, or null. */
export function answerOf(given) {
    if (!isObject(given) || !isText(given.text)) return null;
    const { usage, timings } = given;
    const messages = Array.isArray(given.messages) ? given.messages.filter(isMessage) : [];
    return {
        text: given.text,
        reasoning: textOr(given.reasoning, ""),
        calls: Array.isArray(given.calls) ? given.calls.filter(isObject).map(callOf) : [],
        messages: messages.length ? messages : [{ role: "assistant", content: given.text }],
        where: HOSTS.includes(given.where) ? given.where : "unknown",
        model: textOr(given.model, ""),
        seed: numberOr(given.seed, null),
        tokens: storedTokens(given.tokens),
        options: isObject(given.options) ? given.options : {},
        why: textOr(given.why, ""),
        isContinued: given.isContinued === true, // several requests made it
        usage: { prompt_tokens: null, completion_tokens: numberOr(usage?.completion_tokens, 0) },
        timings: {
            decode_tok_s: numberOr(timings?.decode_tok_s, 0),
            first_token_s: numberOr(timings?.first_token_s, 0),
        },
    };
}

const isMessage = (value) =>
    isObject(value) && ["assistant", "tool"].includes(value.role) && (value.content === null || isText(value.content));

function callOf(given, index) {
    return {
        index,
        id: textOr(given.id, ""),
        name: textOr(given.name, ""),
        arguments: textOr(given.arguments, ""),
        is_complete: given.is_complete === true,
        result: textOr(given.result, null),
        is_error: given.is_error === true,
    };
}
