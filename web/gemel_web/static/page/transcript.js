// Conversations as files. JSON has everything, all versions too, and its messages are what `gemel chat` loads. Markdown
// has what is shown, to be read; a file of the same form can be read back.
import { Branches } from "./branches.js";
import { contentOf } from "./files.js";
import { titleOf } from "./kept.js";

const FORMAT = "gemel conversation";
const HEADS = { user: "## You", assistant: "## Model" };
const LARGEST = 20_000_000; // bytes of a file

/** The messages of the questions that are shown. */
const messagesOf = (tree) =>
    tree
        .path()
        .filter(({ answer }) => answer !== null)
        .flatMap(({ question, files, answer }) => [
            { role: "user", content: contentOf(question, files) },
            ...answer.messages,
        ]);

export function toJson({ title, created, changed, nodes }) {
    const tree = Branches.from(nodes);
    const all = { format: FORMAT, title, created, changed, messages: messagesOf(tree), nodes: tree.toJSON() };
    return `${JSON.stringify(all, null, 1)}\n`;
}

export function toMarkdown({ title, nodes }) {
    const parts = [`# ${title}`];
    for (const { question, files, answer } of Branches.from(nodes).path()) {
        parts.push(HEADS.user, masked(contentOf(question, files)));
        if (answer !== null) parts.push(HEADS.assistant, masked(answer.text));
    }
    return `${parts.join("\n\n")}\n`;
}

/** Lines that look like the headings of this form get a backslash. */
const masked = (text) => text.trim().replaceAll(/^(\\*## (?:You|Model))$/gm, "\\$1");
const unmasked = (text) => text.trim().replaceAll(/^\\(\\*## (?:You|Model))$/gm, "$1");

/** Read a file: {title, nodes}. An Error says why it is not a conversation. */
export async function fromFile(file) {
    if (file.size > LARGEST) throw new Error(`${file.name} is larger than 20 MB`);
    const text = await file.text();
    try {
        const made = /^\s*[[{]/.test(text) ? fromJson(JSON.parse(text)) : fromMarkdown(text);
        const first = made.tree.path()[0];
        if (first === undefined) throw new TypeError("it has no question");
        const title = typeof made.title === "string" && made.title.trim() ? made.title.trim() : first.question;
        return { title: titleOf(title), nodes: made.tree.toJSON() };
    } catch (error) {
        throw new Error(`${file.name} is not a conversation: ${error.message}`);
    }
}

function fromJson(given) {
    if (given?.format === FORMAT) return { title: given.title, tree: Branches.from(given.nodes) };
    const messages = Array.isArray(given) ? given : given?.messages; // as `gemel chat` and OpenAI's API have them
    if (!Array.isArray(messages)) throw new TypeError("it has no list of messages");
    return { title: given.title, tree: ofMessages(messages) };
}

function fromMarkdown(text) {
    const [head, ...parts] = text.split(/^(## (?:You|Model))$/m);
    const messages = [];
    for (let at = 0; at + 1 < parts.length; at += 2) {
        const role = parts[at] === HEADS.user ? "user" : "assistant";
        messages.push({ role, content: unmasked(parts[at + 1]) });
    }
    return { title: /^# (.+)$/m.exec(head)?.[1], tree: ofMessages(messages) };
}

/** Questions one below the other, each with the messages after it as its answer. */
function ofMessages(messages) {
    const records = [];
    for (const one of messages) {
        const content = textOf(one);
        if (one.role === "user") {
            const id = records.length + 1;
            records.push({ id, parent: id > 1 ? id - 1 : null, question: content, answer: null, shown: true });
        } else if (one.role !== "system" && one.role !== "developer") {
            if (!records.length) throw new TypeError("its first message is not a question");
            const last = records.at(-1);
            last.answer ??= { text: "", messages: [] };
            last.answer.messages.push({ ...one, content });
            if (one.role === "assistant" && content) last.answer.text += `${last.answer.text ? "\n\n" : ""}${content}`;
        }
    }
    return Branches.from(records);
}

function textOf(message) {
    const { role, content } = message ?? {};
    if (typeof role !== "string") throw new TypeError("one of its messages has no role");
    if (typeof content === "string") return content;
    if (Array.isArray(content)) return content.map((part) => part?.text ?? "").join("\n");
    return "";
}

/** Give the visitor a text as a file. */
export function download(name, text, type) {
    const address = URL.createObjectURL(new Blob([text], { type }));
    const link = document.createElement("a");
    Object.assign(link, { href: address, download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** A file's name of a title. */
export const fileName = (title) => title.replaceAll(/[^\p{L}\p{N}]+/gu, "-").replaceAll(/^-|-$/g, "") || "conversation";
