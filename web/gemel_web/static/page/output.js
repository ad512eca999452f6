// Shows a program's output while it runs: a limited amount per frame, so that much output does not block the page, and
// in parts, so that the browser lays out only the last one again.
import { make } from "./dom.js";

const LIMIT = 200_000; // characters that are kept
const FRAME = 10_000; // characters shown per frame
const PIECES = 200; // changes between stdout and stderr per frame
const PART = 2_000; // characters after which the next newline ends a part

export class Output {
    #place;
    #waiting = []; // [text, stream] that is not shown yet
    #drawing = null; // a promise, while something waits
    #written = 0;
    #isFresh = true;
    #part = null; // the last part, and the characters in it
    #size = 0;

    constructor(place) {
        this.#place = place;
    }

    /** Whether the output is at the start of a line. */
    get isFresh() {
        return this.#isFresh;
    }

    clear() {
        this.#waiting = [];
        this.#written = this.#size = 0;
        this.#isFresh = true;
        this.#part = null;
        this.#place.replaceChildren();
    }

    write(text, stream) {
        if (!text || this.#written > LIMIT) return;
        this.#written += text.length;
        if (this.#written > LIMIT) {
            const kept = text.slice(0, LIMIT - this.#written);
            text = `${kept}\n[output is limited to ${LIMIT} characters: the rest is not shown]\n`;
        }
        this.#isFresh = text.endsWith("\n");
        const last = this.#waiting.at(-1);
        if (last?.[1] === stream) last[0] += text;
        else this.#waiting.push([text, stream]);
        this.#drawing ??= this.#drawAll();
    }

    /** Resolves when all output is shown. */
    async drawn() {
        await this.#drawing;
    }

    async #drawAll() {
        while (this.#waiting.length) {
            await new Promise((resolve) => requestAnimationFrame(resolve));
            this.#draw();
        }
        this.#drawing = null;
    }

    #draw() {
        const place = this.#place;
        const atEnd = place.scrollHeight - place.scrollTop - place.clientHeight < 30;
        let left = FRAME;
        for (let pieces = 0; left > 0 && pieces < PIECES && this.#waiting.length; pieces++) {
            const [text, stream] = this.#waiting[0];
            this.#append(text.slice(0, left), stream);
            if (text.length > left) this.#waiting[0][0] = text.slice(left);
            else this.#waiting.shift();
            left -= text.length;
        }
        if (atEnd) place.scrollTop = place.scrollHeight;
    }

    #append(text, stream) {
        while (text) {
            if (this.#part === null) this.#part = this.#place.appendChild(make("div", {}));
            const from = Math.max(0, PART - this.#size);
            const at = text.slice(from).search(/[^\n]\n/); // an empty line at the end of a part would be invisible
            const end = at < 0 ? text.length : from + at + 1;
            this.#extend(text.slice(0, end), stream);
            if (at >= 0) [this.#part, this.#size] = [null, 0]; // the new part starts a new line
            text = text.slice(at < 0 ? end : end + 1);
        }
    }

    #extend(text, stream) {
        const last = this.#part.lastElementChild;
        if (last?.className === stream) last.firstChild.appendData(text);
        else this.#part.append(make("span", { class: stream }, text));
        this.#size += text.length;
    }
}
