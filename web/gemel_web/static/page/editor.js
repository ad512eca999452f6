// The field for a program: colours under the text, indentation by Enter and Tab. Tab moves on to the next control while
// nothing was typed since the field was entered, and after Escape: nobody is caught in it.
import { coloured } from "./code.js";
import { everyFrame } from "./dom.js";

const INDENT = "    ";

export class Editor {
    #field;
    #place; // of the colours
    #takesTab = false;

    /** @param {HTMLTextAreaElement} field  @param {() => void} changed  called when the visitor has changed the text */
    constructor(field, changed) {
        this.#field = field;
        this.#place = field.parentElement.querySelector("pre code");
        this.#changed = changed;
        field.addEventListener("input", () => this.#typed());
        field.addEventListener("focus", () => (this.#takesTab = false));
        field.addEventListener("pointerdown", () => setTimeout(() => (this.#takesTab = true)));
        field.addEventListener("keydown", (event) => this.#key(event));
        new ResizeObserver(() => this.#soon()).observe(field); // it is shown
        field.addEventListener("scroll", () => this.#scroll(), { passive: true });
    }

    #changed;
    #soon = everyFrame(() => this.#colour());

    get text() {
        return this.#field.value;
    }

    set text(text) {
        this.#field.value = text;
        this.#soon();
    }

    #typed() {
        this.#takesTab = true;
        this.#soon();
        this.#changed();
    }

    #key(event) {
        if (event.key === "Escape") this.#takesTab = false;
        else if (event.key === "Tab" && this.#takesTab && !event.ctrlKey && !event.altKey && !event.metaKey) {
            event.preventDefault();
            this.#indent(event.shiftKey);
        } else if (event.key === "Enter" && !event.shiftKey && !event.ctrlKey && !event.metaKey && !event.isComposing) {
            event.preventDefault(); // the next line has this one's indentation
            const line = this.#lineBefore();
            this.#insert(`\n${/^[ \t]*/.exec(line)[0]}${/:\s*$/.test(line) ? INDENT : ""}`);
        }
    }

    #lineBefore() {
        const before = this.text.slice(0, this.#field.selectionStart);
        return before.slice(before.lastIndexOf("\n") + 1);
    }

    /** As the visitor would type it, so that it can be undone. */
    #insert(text) {
        const { selectionStart: start, selectionEnd: end } = this.#field;
        const isEmpty = text === "" && start === end;
        if (isEmpty || document.execCommand(text ? "insertText" : "delete", false, text)) return;
        this.#field.setRangeText(text, start, end, "end");
        this.#typed();
    }

    /** Indent at the caret, or all lines of the selection; `isLess`: remove an indentation from them. */
    #indent(isLess) {
        const { selectionStart: start, selectionEnd: end } = this.#field;
        if (start === end && !isLess) {
            this.#insert(INDENT.slice(this.#lineBefore().length % INDENT.length));
            return;
        }
        const from = this.text.lastIndexOf("\n", start - 1) + 1;
        const lines = this.text.slice(from, end);
        const changed = isLess ? lines.replaceAll(/^ {1,4}/gm, "") : lines.replaceAll(/^(?=.)/gm, INDENT);
        if (changed === lines) return;
        this.#field.setSelectionRange(from, end);
        this.#insert(changed);
        const at = start === end ? Math.max(from, start + changed.length - lines.length) : from;
        this.#field.setSelectionRange(at, from + changed.length - (start === end ? end - start : 0));
        if (start === end) this.#field.setSelectionRange(at, at);
    }

    async #colour() {
        if (this.#field.offsetParent === null) return; // hidden: the library need not come
        const { text } = this;
        const made = await coloured(text, "python").catch(() => null);
        if (text !== this.text) return; // typed meanwhile: the next frame colours it
        this.#field.parentElement.classList.toggle("coloured", made !== null);
        if (made !== null) this.#place.replaceChildren(made, "\n");
        this.#scroll();
    }

    #scroll() {
        const { scrollTop, scrollLeft } = this.#field;
        const pre = this.#place.parentElement;
        pre.scrollTop = scrollTop;
        pre.scrollLeft = scrollLeft;
    }
}
