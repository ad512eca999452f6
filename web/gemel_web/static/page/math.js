// Formulas in an answer: TeX becomes MathML, which browsers draw. marked finds them (MATH), and leaves elements with the
// source, which draw() replaces. The library is loaded with the first formula; its output passes DOMPurify.
import DOMPurify from "../vendor/dompurify.js";
import { make } from "./dom.js";

const MARK = "tex"; // the title of an element with a formula's source; a text can't make one
const LONGEST = 2000; // characters of a formula
const MOST = 300; // formulas that are kept, so that a growing block does not draw them again
const HOW = { output: "mathml", throwOnError: true, strict: "ignore", trust: false, maxExpand: 200, maxSize: 20 };
const PURE = {
    USE_PROFILES: { mathMl: true },
    FORBID_CONTENTS: ["annotation"],
    FORBID_ATTR: ["mathcolor", "mathbackground"],
    RETURN_DOM_FRAGMENT: true,
};
const drawn = new Map(); // "tex" or "tex block": a fragment, or null for what is no formula
let library = null; // a promise
let loaded = null;

const escaped = (text) => text.replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`);

/** An extension of marked: one way to write a formula. */
function rule(name, level, hint, pattern, isBlock) {
    return {
        name,
        level,
        start: (source) => source.match(hint)?.index,
        tokenizer(source) {
            const found = pattern.exec(source);
            if (found === null || found[1].length > LONGEST) return undefined;
            return { type: name, raw: found[0], text: found[1].trim(), isBlock };
        },
        renderer: ({ text }) =>
            isBlock ? `<pre title="${MARK}">${escaped(text)}</pre>` : `<code title="${MARK}">${escaped(text)}</code>`,
    };
}

/** $x$ has no space inside its dollars and no digit behind: prices are no formulas. */
export const MATH = [
    rule("dollarBlock", "block", /\n {0,3}\$\$/, /^ {0,3}\$\$([^$]+?)\$\$[ \t]*(?:\n|$)/, true),
    rule("bracketBlock", "block", /\n {0,3}\\\[/, /^ {0,3}\\\[([\s\S]+?)\\\][ \t]*(?:\n|$)/, true),
    rule("dollarsInLine", "inline", /\$\$/, /^\$\$([^$\n]+?)\$\$/, true),
    rule("bracketsInLine", "inline", /\\\[/, /^\\\[([^\n]+?)\\\]/, true),
    rule("parentheses", "inline", /\\\(/, /^\\\(([^\n]+?)\\\)/, false),
    rule("dollar", "inline", /\$/, /^\$(?![\s$])((?:\\.|[^\\$\n`])*?(?:\\.|[^\s\\$`]))\$(?!\d)/, false),
];

/** Replace the sources in a new block by formulas, now or when the library is there. */
export function draw(block) {
    const found = block.querySelectorAll(`code[title="${MARK}"], pre[title="${MARK}"]`);
    for (const one of found) {
        const place = make("span", { class: one.localName === "pre" ? "math display" : "math" }, one.textContent);
        one.replaceWith(place);
        if (loaded === null) wait(place);
        else show(place, loaded);
    }
}

async function wait(place) {
    try {
        library ??= import("../vendor/katex.js").then((module) => module.default);
        loaded = await library;
    } catch {
        return; // out of reach: the source stays
    }
    show(place, loaded);
}

function show(place, katex) {
    const tex = place.textContent;
    const isBlock = place.classList.contains("display");
    const key = `${isBlock} ${tex}`;
    if (!drawn.has(key)) {
        if (drawn.size >= MOST) drawn.clear();
        drawn.set(key, made(tex, isBlock, katex));
    }
    const formula = drawn.get(key);
    if (formula !== null) place.replaceChildren(formula.cloneNode(true));
}

function made(tex, isBlock, katex) {
    try {
        return DOMPurify.sanitize(katex.renderToString(tex, { ...HOW, displayMode: isBlock }), PURE);
    } catch {
        return null; // not TeX: the source stays
    }
}
