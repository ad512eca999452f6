// The Python cell: runs a program in a separate worker, so that the conversation neither waits for it nor ends with it.
// A program that the visitor has changed is kept in the browser, one for each example.
import { Gemel } from "../gemel.js";
import { byId, make } from "./dom.js";
import { Editor } from "./editor.js";
import { EXAMPLES } from "./examples.js";
import { Output } from "./output.js";

const KEY = "gemel-programs"; // in localStorage: {name of an example: program}
const LONGEST = 100_000; // characters of a program that is kept
const GRACE = 2000; // milliseconds that a stopped program has to end

export class Cell {
    #gemel = null;
    #running = false;
    #editor = new Editor(byId("code"), () => this.#keep());
    #kept = keptPrograms();
    #output = new Output(byId("output"));
    #model = "";

    constructor() {
        const select = byId("example");
        select.append(...EXAMPLES.map(({ name }, i) => make("option", { value: i }, name)));
        select.addEventListener("change", () => this.#use());
        byId("original").addEventListener("click", () => {
            delete this.#kept[this.#example.name];
            this.#store();
            this.#use();
            byId("code").focus();
        });
        byId("run").addEventListener("click", () => this.run());
        byId("halt").addEventListener("click", () => this.stop());
        byId("code").addEventListener("keydown", (event) => this.#typed(event));
        this.#use();
    }

    get #example() {
        return EXAMPLES[byId("example").value];
    }

    /** The example's program, with the page's model. */
    get #original() {
        return this.#example.code.replace("ADDRESS", this.#model);
    }

    /** The address that the examples open. */
    set model(address) {
        this.#model = /^\.{0,2}\//.test(address) ? new URL(address, document.baseURI).href : address;
        if (!Object.hasOwn(this.#kept, this.#example.name)) this.#use();
    }

    /** Show the visitor's program for the chosen example, or the example's own. */
    #use() {
        const { name } = this.#example;
        this.#editor.text = Object.hasOwn(this.#kept, name) ? this.#kept[name] : this.#original;
        byId("original").hidden = !Object.hasOwn(this.#kept, name);
    }

    /** Keep what the visitor has changed. */
    #keep() {
        const { name } = this.#example;
        const { text } = this.#editor;
        if (text === this.#original) delete this.#kept[name];
        else this.#kept[name] = text;
        byId("original").hidden = !Object.hasOwn(this.#kept, name);
        if (text.length > LONGEST) this.#say(`Over ${LONGEST} characters: kept only until the page is closed`);
        this.#store();
    }

    #store() {
        try {
            const stored = Object.entries(this.#kept).filter(([, program]) => program.length <= LONGEST);
            localStorage.setItem(KEY, JSON.stringify(Object.fromEntries(stored)));
        } catch {
            // no storage: the program is kept until the page is closed
        }
    }

    #typed(event) {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
            event.preventDefault();
            this.run();
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
            const value = await this.#gemel.run(this.#editor.text, {
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

/** The visitor's programs; what is stored may be anything. */
function keptPrograms() {
    try {
        const stored = JSON.parse(localStorage.getItem(KEY) ?? "{}");
        const known = EXAMPLES.map(({ name }) => [name, stored[name]]);
        return Object.fromEntries(known.filter(([, code]) => typeof code === "string" && code.length <= LONGEST));
    } catch {
        return {};
    }
}
