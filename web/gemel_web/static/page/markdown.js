// Renders Markdown while it grows, block by block: finished blocks stay unchanged and only the last one is rendered
// again, so the work per piece does not grow with the answer. The text comes from a model and is not trusted: HTML in
// it stays text, marked's output passes DOMPurify with a short list of tags, and a block that is too long or too deeply
// nested is shown as plain text.
import DOMPurify from "../vendor/dompurify.js";
import { Marked } from "../vendor/marked.js";
import { codeBlock } from "./code.js";
import { make } from "./dom.js";
import { draw, MATH } from "./math.js";

const SOFT = 2000; // characters after which a list is split between two items
const HARD = 6000; // characters after which a block is shown as plain text
const DEEP = /^[ \t]*(?:(?:>|[-*+]|\d{1,9}[.)])[ \t]*){16}|^[ \t]{64}/m; // 16 containers in one line
const FENCE = /^ {0,3}(`{3,}|~{3,})[ \t]*([^`]*)$/;
const ITEM = /^ {0,3}(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$)/;
const PURE = {
    ALLOWED_TAGS: [
        "p",
        "br",
        "hr",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "ul",
        "ol",
        "li",
        "blockquote",
        "pre",
        "code",
        "em",
        "strong",
        "del",
        "a",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "#text",
    ],
    ALLOWED_ATTR: ["href", "title", "start", "align"],
    ADD_URI_SAFE_ATTR: ["start", "align"],
    ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i, // no relative addresses: a model does not know this page's
    ALLOW_ARIA_ATTR: false,
    ALLOW_DATA_ATTR: false,
    KEEP_CONTENT: true,
    RETURN_DOM_FRAGMENT: true,
};

const escaped = (text) => text.replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`);

const marked = new Marked({
    gfm: true,
    extensions: MATH,
    renderer: {
        html: ({ text, block }) =>
            block ? `<p>${escaped(text.trimEnd()).replaceAll("\n", "<br>")}</p>` : escaped(text),
        image({ href, text }) {
            return `<a href="${escaped(href)}">${escaped(text || href)}</a>`;
        },
        code: ({ text, lang }) =>
            `<pre title="${escaped((lang ?? "").split(/\s/)[0])}"><code>${escaped(text)}</code></pre>`,
        checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
    },
});

/** Put headings below the question's (h2) without skipping a level; return the levels for the next block. */
function relevel(made, { first, last }) {
    for (const heading of made.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
        const depth = Number(heading.localName[1]);
        first ??= depth;
        last = Math.min(Math.max(3, 3 + depth - first), last + 1, 6);
        heading.replaceWith(make(`h${last}`, {}, ...heading.childNodes));
    }
    return { first, last };
}

/** Return a block's elements. */
function fragment(text) {
    if (text.length > HARD || DEEP.test(text)) return plain(text);
    let html;
    try {
        html = marked.parse(text);
    } catch {
        return plain(text); // nested too deeply for marked
    }
    const made = DOMPurify.sanitize(html, PURE);
    for (const link of made.querySelectorAll("a")) {
        if (link.hasAttribute("href")) Object.assign(link, { target: "_blank", rel: "noopener noreferrer nofollow" });
        else link.replaceWith(...link.childNodes); // the address is not allowed: keep only the text
    }
    for (const table of made.querySelectorAll("table")) {
        const scroller = make("div", { class: "wide-table", tabindex: "0", role: "group", "aria-label": "Table" });
        table.replaceWith(scroller);
        scroller.append(table);
    }
    for (const code of made.querySelectorAll("pre > code")) {
        const block = codeBlock(code.parentElement.title);
        block.append(code.textContent);
        block.end();
        code.parentElement.replaceWith(block.element);
    }
    for (const item of made.querySelectorAll("li")) if (/^[☐☑] /.test(item.textContent)) item.classList.add("task");
    draw(made);
    return made;
}

function plain(text) {
    return make("p", { class: "as-is" }, text);
}

/** The element of a block. Its direction follows its first letters. */
function place() {
    return make("div", { class: "block", dir: "auto" });
}

/** Renders a text in an element. feed() adds text, end() finishes it; render() draws and returns the time it took. */
export class Markdown {
    #block = ""; // the source of the last block
    #line = ""; // the last line so far
    #tail; // the element of the last block
    #code = null; // the open block of code: {fence, append}
    #inner = null; // the fence of code inside a list; the list continues until it closes
    #blank = false; // the last line was empty
    #changed = false;
    #levels = { first: null, last: 2 }; // heading levels before the last block
    #next = this.#levels; // and after it

    constructor(element) {
        this.element = element;
        this.#tail = element.appendChild(place());
    }

    feed(text) {
        const lines = (this.#line + text).split("\n");
        this.#line = lines.pop();
        for (const line of lines) this.#take(line);
        this.#changed = true;
    }

    /** Render the text so far; return how many milliseconds that took. */
    render() {
        if (!this.#changed) return 0;
        this.#changed = false;
        const start = performance.now();
        if (this.#code !== null) this.#showCodeLine();
        else this.#draw(this.#block + this.#line);
        return performance.now() - start;
    }

    end() {
        if (this.#line) this.#take(this.#line);
        this.#line = "";
        this.#code?.end(); // it was not closed
        this.#close();
        this.#tail.remove();
    }

    #take(line) {
        if (this.#code !== null) {
            this.#takeCode(line);
            return;
        }
        const fence = this.#inner === null ? FENCE.exec(line) : null;
        if (fence && !(ITEM.test(this.#block) && line.startsWith(" "))) {
            if (!this.#block) this.#tail.replaceChildren(); // the beginning of the fence was shown as text
            this.#close();
            this.#open(fence[1], fence[2].trim().split(/\s/)[0].slice(0, 20));
            return;
        }
        if (this.#endsBefore(line)) this.#close();
        const inner = /^\s*(`{3,}|~{3,})/.exec(line)?.[1] ?? null;
        if (inner !== null && this.#block)
            this.#inner = this.#inner === null ? inner : inner.startsWith(this.#inner) ? null : this.#inner;
        this.#blank = line.trim() === "";
        if (this.#block || !this.#blank) this.#block += `${line}\n`;
    }

    /** Whether a line begins another block: it follows an empty line and does not continue a list. */
    #endsBefore(line) {
        if (!this.#block || this.#inner !== null || line.trim() === "") return false;
        const inList = ITEM.test(this.#block);
        if (this.#block.length > SOFT && inList && ITEM.test(line) && !/^[ \t]/.test(line)) return true;
        if (!this.#blank) return false;
        return !(inList && (ITEM.test(line) || /^[ \t]{2}/.test(line)));
    }

    /** Finish the last block; the next one begins. */
    #close() {
        if (this.#block) this.#draw(this.#block);
        this.#levels = this.#next;
        this.#block = "";
        this.#inner = null;
        this.#blank = false;
        if (!this.#tail.hasChildNodes()) return;
        const next = place();
        this.#tail.after(next);
        this.#tail = next;
    }

    #draw(text) {
        if (text.length <= HARD || !this.#tail.firstChild?.classList?.contains("as-is")) {
            const made = fragment(text);
            this.#next = relevel(made, this.#levels);
            this.#tail.replaceChildren(made);
            return;
        }
        const shown = this.#tail.firstChild.firstChild; // already plain text: append
        if (text.startsWith(shown.data.slice(0, 64)) && text.length >= shown.length)
            shown.appendData(text.slice(shown.length));
        else this.#tail.replaceChildren(plain(text));
    }

    // ---- Code: never parsed, only appended --------------------------------------------------------------------------

    #open(fence, language) {
        this.#code = { fence, shown: 0, first: true, ...codeBlock(language) };
        this.#tail.replaceChildren(this.#code.element);
    }

    #takeCode(line) {
        const { fence } = this.#code;
        const closing = FENCE.exec(line);
        if (closing && closing[1][0] === fence[0] && closing[1].length >= fence.length && !closing[2]) {
            this.#code.end();
            this.#code = null;
            this.#close();
            return;
        }
        this.#appendCode(line);
        this.#code.first = false;
        this.#code.shown = 0;
    }

    /** Show the incomplete last line, unless it may become the closing fence. */
    #showCodeLine() {
        if (this.#line && !/^ {0,3}[`~]*$/.test(this.#line)) {
            this.#appendCode(this.#line);
            this.#code.shown = this.#line.length;
        }
    }

    #appendCode(line) {
        const { shown, first } = this.#code;
        const begun = shown > 0;
        this.#code.append((begun || first ? "" : "\n") + line.slice(shown));
    }
}
