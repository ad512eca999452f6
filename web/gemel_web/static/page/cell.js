// The Python cell: runs a program in a separate worker, so that the conversation neither waits for it nor ends with it.
import { Gemel } from "../gemel.js";
import { byId, make } from "./dom.js";
import { EXAMPLES } from "./examples.js";
import { Output } from "./output.js";

const GRACE = 2000; // milliseconds that a stopped program has to end

export class Cell {
    #gemel = null;
    #running = false;
    #code = byId("code");
    #output = new Output(byId("output"));
    #model = "";

    constructor() {
        const select = byId("example");
        select.append(...EXAMPLES.map(({ name }, i) => make("option", { value: i }, name)));
        select.addEventListener("change", () => this.#use(EXAMPLES[select.value]));
        byId("run").addEventListener("click", () => this.run());
        byId("halt").addEventListener("click", () => this.stop());
        this.#code.addEventListener("keydown", (event) => this.#typed(event));
        this.#use(EXAMPLES[0]);
    }

    /** The address that the examples open. */
    set model(address) {
        const isUnedited = EXAMPLES.some(({ code }) => code.replace("ADDRESS", this.#model) === this.#code.value);
        this.#model = /^\.{0,2}\//.test(address) ? new URL(address, document.baseURI).href : address;
        if (isUnedited) this.#use(EXAMPLES[byId("example").value]);
    }

    #use({ code }) {
        this.#code.value = code.replace("ADDRESS", this.#model);
    }

    #typed(event) {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
            event.preventDefault();
            this.run();
        } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
            event.preventDefault(); // the next line has this one's indentation
            const before = this.#code.value.slice(0, this.#code.selectionStart);
            const line = before.slice(before.lastIndexOf("\n") + 1);
            const indent = /^[ \t]*/.exec(line)[0] + (/:\s*$/.test(line) ? "    " : "");
            this.#code.setRangeText(`\n${indent}`, this.#code.selectionStart, this.#code.selectionEnd, "end");
        } else if (event.key === "Escape" && this.#running) {
            event.stopPropagation();
            this.stop();
        }
    }

    async run() {
        if (this.#running) return;
        this.#busy(true);
        this.#output.clear();
        this.#say(this.#gemel === null ? "Starting Python …" : "Running …");
        this.#gemel ??= new Gemel();
        const begun = performance.now();
        let words;
        try {
            const value = await this.#gemel.run(this.#code.value, {
                onOutput: (text, stream) => this.#output.write(text, stream),
            });
            if (value !== null) this.#write(value, "value");
            words = `Done in ${((performance.now() - begun) / 1000).toFixed(1)} s`;
        } catch (error) {
            const stopped = error.name === "CancelledError" || error.name === "KeyboardInterrupt";
            this.#write((error.traceback ?? `${error.name}: ${error.message}`).trimEnd(), "stderr");
            words = stopped ? "Stopped" : error.name;
            if (error.name === "WorkerError") this.#gemel = null;
        }
        await this.#output.drawn();
        this.#say(words);
        this.#busy(false);
    }

    stop() {
        const gemel = this.#gemel;
        gemel?.stop();
        setTimeout(() => {
            if (!this.#running || gemel !== this.#gemel) return;
            this.#gemel = null; // without isolation, a program that never awaits can't be interrupted
            gemel.close();
            this.#write("Python was restarted, because the program did not stop: its variables are gone.", "stderr");
        }, GRACE);
    }

    #busy(is) {
        const [now, next] = is ? [byId("run"), byId("halt")] : [byId("halt"), byId("run")];
        const moves = document.activeElement === now;
        this.#running = is;
        next.disabled = false;
        if (moves) next.focus(); // before the focused button is disabled
        now.disabled = true;
    }

    #say(words) {
        byId("cell-status").textContent = words;
    }

    /** Write a separate line. */
    #write(text, stream) {
        this.#output.write(`${this.#output.isFresh ? "" : "\n"}${text}\n`, stream);
    }
}
