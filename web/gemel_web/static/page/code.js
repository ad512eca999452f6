// A block of code in an answer: it grows as text, and gets colours once it is whole. The colours' library is loaded with
// the first block; its output passes DOMPurify, which leaves spans with classes.
import DOMPurify from "../vendor/dompurify.js";
import { copier, make } from "./dom.js";

const LONGEST = 20_000; // characters of a block that is coloured
const ALIASES = {
    py: "python",
    js: "javascript",
    ts: "typescript",
    sh: "bash",
    shell: "bash",
    html: "xml",
    "c++": "cpp",
};
const PURE = { ALLOWED_TAGS: ["span", "#text"], ALLOWED_ATTR: ["class"], RETURN_DOM_FRAGMENT: true };
let library = null; // a promise

const highlighter = () => (library ??= import("../vendor/highlight.js").then((module) => module.default));

/** Return the coloured form of a text; null: the language is unknown, or the text too long. */
export async function coloured(text, language) {
    const name = ALIASES[language.toLowerCase()] ?? language.toLowerCase();
    if (!name || text.length > LONGEST) return null;
    const known = await highlighter();
    if (!known.getLanguage(name)) return null;
    return DOMPurify.sanitize(known.highlight(text, { language: name, ignoreIllegals: true }).value, PURE);
}

/** A block that grows: {element, append, end}. */
export function codeBlock(language) {
    const text = document.createTextNode("");
    const code = make("code", {}, text);
    const head = make(
        "div",
        { class: "code-head" },
        make("span", {}, language),
        copier(() => text.data),
    );
    const pre = make(
        "pre",
        { tabindex: "0", role: "group", "aria-label": language ? `${language} code` : "Code" },
        code,
    );
    if (language) highlighter().catch(() => {}); // end() waits for it, and does without
    return {
        element: make("div", { class: "code", dir: "ltr" }, head, pre),
        append: (more) => text.appendData(more),
        end: async () => {
            const made = await coloured(text.data, language).catch(() => null); // out of reach: it stays plain
            if (made !== null) code.replaceChildren(made);
        },
    };
}
