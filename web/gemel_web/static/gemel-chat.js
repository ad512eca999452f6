// <gemel-chat model="...">: a conversation with a model that runs in the visitor's tab, on any page. Shows what
// gemel.js does and reports it in events (ready, progress, part, piece, done, error); knows nothing of how text is
// generated.
//
//     <script type="module" src="https://example.org/gemel/gemel-chat.js"></script>
//     <gemel-chat model="https://example.org/model.gguf" system="Be brief."></gemel-chat>
import { Folds } from "./folds.js";
import { Gemel, Generation, ToolCall } from "./gemel.js";
import { loadOptionsOf, shown } from "./options.js";
import { words } from "./words.js";

export { Gemel, Generation, ToolCall, words };

const STYLE = `
:host {
    color-scheme: light dark;
    --ink: light-dark(#1c1d22, #e9e9ee); --paper: light-dark(#fff, #17181c); --soft: light-dark(#f1f2f5, #24262c);
    --line: light-dark(#8b8e98, #777b86); --quiet: light-dark(#595c66, #a5a8b3);
    --accent: var(--gemel-accent, light-dark(#1d4fd7, #86a8ff)); --on-accent: light-dark(#fff, #10131c);
    display: flex; flex-direction: column; gap: .5rem; box-sizing: border-box; height: 30rem; padding: .75rem;
    border: 1px solid var(--line); border-radius: .75rem; background: var(--paper); color: var(--ink);
    font: 1rem/1.5 system-ui, sans-serif;
}
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.log { flex: 1; min-height: 0; overflow-y: auto; overscroll-behavior: contain; border-radius: .5rem; }
.message { max-width: 46rem; margin: 0 0 .75rem; white-space: pre-wrap; overflow-wrap: anywhere; text-align: start;
    unicode-bidi: plaintext; }
.user { width: fit-content; max-width: 85%; margin-left: auto; padding: .4rem .75rem; border-radius: .75rem;
    background: var(--soft); }
.fold { max-width: 100%; margin: 0 0 .5rem; color: var(--quiet); font-size: .9rem; white-space: normal; }
.fold summary { display: flex; gap: .5rem; align-items: center; width: fit-content; max-width: 100%; min-height: 2rem;
    padding: 0 .6rem; border: 1px solid var(--line); border-radius: .5rem; cursor: pointer; }
.fold summary::before { content: "▸"; flex: none; }
.fold summary:focus-visible { outline-offset: -2px; }
.fold[open] summary::before { content: "▾"; }
.fold .title, .fold .state { flex: none; }
.fold code.title { max-width: 60%; overflow: hidden; color: var(--ink); text-overflow: ellipsis; }
.fold .preview { min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.fold[open] .preview { visibility: hidden; }
.fold code, .fold pre, .fold .preview { font-family: ui-monospace, monospace; font-size: .85em; }
.fold.failed .state { color: light-dark(#b3151c, #ff9a94); }
.fold .inside { margin: .4rem 0 .75rem; padding-inline-start: .75rem; border-inline-start: 2px solid var(--line); }
.fold.thought .inside { white-space: pre-wrap; }
.fold dd { margin: 0; color: var(--ink); }
.fold pre { margin: 0 0 .35rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.status { min-height: 1.3rem; color: var(--quiet); font-size: .85rem; line-height: 1.3rem;
    font-variant-numeric: tabular-nums; }
.error { margin: 0; color: light-dark(#b3151c, #ff9a94); font-size: .9rem; overflow-wrap: anywhere; }
progress { width: 100%; height: .35rem; accent-color: var(--accent); }
progress[hidden] { display: block !important; visibility: hidden; }
form { display: flex; gap: .5rem; align-items: end; }
textarea { flex: 1; min-width: 0; min-height: 2.75rem; max-height: 10rem; padding: .55rem .7rem; resize: none;
    field-sizing: content; border: 1px solid var(--line); border-radius: .5rem; background: var(--paper);
    color: inherit; font: inherit; }
textarea::placeholder { color: var(--quiet); opacity: 1; }
button { min-width: 5rem; min-height: 2.75rem; padding: 0 1rem; border: 0; border-radius: .5rem;
    background: var(--accent); color: var(--on-accent); font: inherit; font-weight: 600; cursor: pointer; }
button.stop { background: var(--ink); color: var(--paper); }
button:disabled { opacity: .5; cursor: default; }
`;
let sheet = null;

/** Make an element: its class, attributes, children (text is always text). */
function make(tag, { className = "", ...attributes } = {}, ...children) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
}

/** An attribute's number, or its text if it has no number. */
const numberOf = (text) => (text.trim() === "" || Number.isNaN(Number(text)) ? text : Number(text));

/** Whether a result has anything that a visitor sees. */
const isShown = ({ text, reasoning, calls }) => text !== "" || reasoning !== "" || calls.length > 0;

export class GemelChat extends HTMLElement {
    static observedAttributes = ["placeholder"];
    #gemel = null;
    #last = null; // {model, options, attribute}: the last model to load, and the `model` attribute at that time
    #busy = false;
    #parts;

    constructor() {
        super();
        /** The conversation as {role, content}; may be edited while no answer is running. */
        this.messages = [];
        /** Options of each answer, as in Python: max_tokens, temperature, ... */
        this.options = {};
        /** Tools that the model may call: {name, description, parameters, run}. */
        this.tools = [];
        const root = this.attachShadow({ mode: "open" });
        if (sheet === null) {
            sheet = new CSSStyleSheet();
            sheet.replaceSync(STYLE);
        }
        root.adoptedStyleSheets = [sheet];
        this.#parts = this.#build(root);
    }

    #build(root) {
        const live = { role: "log", "aria-live": "polite", "aria-label": "Conversation" };
        const log = make("div", { className: "log", tabindex: "0", ...live });
        const progress = make("progress", { max: "1", "aria-label": "Loading the model", hidden: "" });
        const status = make("div", { className: "status", role: "status" });
        const error = make("p", { className: "error", role: "alert", hidden: "" });
        const input = make("textarea", { id: "input", rows: "1", dir: "auto", autocomplete: "off" });
        const send = make("button", { type: "button" }, "Send");
        const stop = make("button", { type: "button", className: "stop", hidden: "" }, "Stop");
        const label = make("label", { className: "hidden", for: "input" }, "Your message");
        const form = make("form", {}, label, input, send, stop); // never submitted: a sandboxed frame may forbid that
        root.append(log, error, status, progress, form);
        send.addEventListener("click", () => this.#send());
        input.addEventListener("keydown", (event) => {
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            this.#send();
        });
        root.addEventListener("keydown", (event) => {
            if (event.key === "Escape" && this.#busy) this.stop();
        });
        stop.addEventListener("click", () => this.stop());
        return { log, progress, status, error, input, send, stop };
    }

    connectedCallback() {
        this.attributeChangedCallback();
        if (this.hasAttribute("autoload") && this.info === null && !this.#busy) {
            this.#busily(() => this.load()).catch(() => {}); // shown, and reported by an event
        }
    }

    disconnectedCallback() {
        queueMicrotask(() => {
            if (!this.isConnected) this.close(); // it was removed, not moved
        });
    }

    attributeChangedCallback() {
        this.#parts.input.placeholder = this.getAttribute("placeholder") ?? "Ask something";
    }

    // ---- The API of gemel.js ----------------------------------------------------------------------------------------

    /** The Gemel that answers, created from the attributes base, models and threads at its first use. */
    get gemel() {
        if (this.#gemel === null) {
            const options = {};
            for (const name of ["base", "models"]) {
                if (this.hasAttribute(name)) options[name] = this.getAttribute(name);
            }
            if (this.hasAttribute("threads")) options.threads = numberOf(this.getAttribute("threads"));
            this.#gemel = new Gemel(options);
        }
        return this.#gemel;
    }

    get info() {
        return this.#gemel?.info ?? null;
    }

    get cache() {
        return this.gemel.cache;
    }

    /** Load a model. Default: the one last passed to load() since the attribute was set, else the attribute's. */
    async load(model, options) {
        try {
            const { progress: listener, signal, rest: given } = loadOptionsOf(options);
            const wanted = model === undefined || model === null ? this.#wanted() : { model };
            const { prompt, ...kept } = { ...wanted.options, ...given };
            const isBytes = wanted.model instanceof ArrayBuffer || ArrayBuffer.isView(wanted.model);
            const attribute = this.getAttribute("model");
            this.#last = { model: isBytes ? null : wanted.model, options: kept, attribute };
            const report = (progress) => this.#progressed(progress, listener);
            const info = await this.gemel.load(wanted.model, { ...kept, prompt, signal, onProgress: report });
            this.#showInfo(info);
            this.#tell("ready", info);
            return info;
        } catch (error) {
            this.#showError(error);
            throw error;
        } finally {
            this.#parts.progress.hidden = true;
        }
    }

    generate(prompt, options) {
        return this.gemel.generate(prompt, options);
    }

    chat(messages, options) {
        return this.gemel.chat(messages, options);
    }

    embed(texts, options) {
        return this.gemel.embed(texts, options);
    }

    run(code, options) {
        return this.gemel.run(code, options);
    }

    stop() {
        this.#gemel?.stop();
    }

    /** End the worker. The next message loads the model again, except a model given as bytes, which are not kept. */
    close() {
        this.#gemel?.close();
        this.#gemel = null;
    }

    // ---- The conversation -------------------------------------------------------------------------------------------

    /** Ask a question, as a visitor does. Resolves to the result, or null if there is none. */
    async ask(text) {
        if (typeof text !== "string") throw new TypeError("<gemel-chat>: ask(text) takes a string");
        if (this.#busy) throw new Error("<gemel-chat> is already answering: call stop() first");
        this.#checkMessages(text);
        const shown = [this.#show("user", text), this.#show("assistant", "")];
        return this.#busily(async () => {
            const result = await this.#answer([...(this.messages ?? []), { role: "user", content: text }], shown[1]);
            if (result !== null && isShown(result)) return result;
            for (const message of shown) message.remove(); // the question was not answered: take it back
            this.#parts.input.value ||= text;
            return null;
        });
    }

    /** Refuse messages that are no list; the question returns to the text field. */
    #checkMessages(question) {
        const given = this.messages;
        if (given === null || given === undefined || Array.isArray(given)) return;
        this.#parts.input.value ||= question;
        const error = new TypeError(`messages must be a list of {role, content}, not ${shown(given)}`);
        this.#showError(error);
        throw error;
    }

    async #answer(said, answer) {
        const system = this.getAttribute("system");
        const messages = system === null ? said : [{ role: "system", content: system }, ...said];
        try {
            const prompt = this.tools?.length || this.options?.tools?.length ? undefined : messages; // else another text
            if (!this.#isLoaded()) await this.load(undefined, { prompt });
        } catch {
            return null; // load has shown and reported it
        }
        try {
            const result = await this.#stream(this.gemel.chat(messages, this.#options()), answer);
            if (isShown(result)) this.messages = [...said, ...result.messages];
            this.#showEnd(result);
            this.#tell("done", result);
            return result;
        } catch (error) {
            this.#showError(error);
            return null;
        }
    }

    /** The options of an answer, with the element's tools and schema. */
    #options() {
        const options = { ...this.options };
        if (this.tools !== null && this.tools !== undefined && this.tools.length !== 0) {
            if (options.tools !== undefined && options.tools !== null)
                throw new TypeError("<gemel-chat>: tools and options.tools are both set: use one of them");
            options.tools = this.tools;
        }
        const schema = this.#schema();
        return schema === undefined ? options : { ...options, json_schema: schema };
    }

    /** The schema of the attribute: JSON, or the text of the element whose id it is; undefined: there is none. */
    #schema() {
        const attribute = this.getAttribute("json-schema")?.trim();
        if (attribute === undefined) return undefined;
        if (this.options?.json_schema !== undefined && this.options.json_schema !== null)
            throw new TypeError("<gemel-chat>: json-schema and options.json_schema are both set: use one of them");
        if (/^(\{|true$|false$)/.test(attribute)) return attribute;
        const place = attribute && this.getRootNode().querySelector(`#${CSS.escape(attribute)}`);
        if (!place)
            throw new TypeError(
                `<gemel-chat>: json-schema=${shown(attribute)} is neither JSON nor the id of an element`,
            );
        return place.textContent;
    }

    async #stream(generation, answer) {
        const folds = new Folds();
        answer.append(folds.element);
        const text = answer.appendChild(document.createTextNode(""));
        try {
            for await (const part of generation.parts()) {
                this.#atEnd(() => {
                    folds.take(part);
                    if (part.kind === "text") text.appendData(part.text);
                });
                this.#tell("part", part);
                if (part.kind === "text") this.#tell("piece", { text: part.text });
            }
        } finally {
            this.#atEnd(() => folds.end());
        }
        return generation.result;
    }

    #isLoaded() {
        return this.info !== null && this.#last?.attribute === this.getAttribute("model");
    }

    /** The default of load(): a model passed to load() stays until the attribute changes. */
    #wanted() {
        const attribute = this.getAttribute("model");
        if (this.#last?.attribute === attribute) {
            if (this.#last.model !== null) return this.#last;
            throw new TypeError("<gemel-chat>'s model was given as bytes, which are not kept: call load(model) again");
        }
        if (attribute === null)
            throw new TypeError("<gemel-chat> has no model: set its model attribute, or call load(model)");
        return { model: attribute };
    }

    #send() {
        const text = this.#parts.input.value.trim();
        if (!text || this.#busy) return;
        this.#parts.input.value = "";
        this.ask(text).catch(() => {}); // shown, and reported by an event
    }

    async #busily(act) {
        const { input, send, stop, log, error } = this.#parts;
        const busy = (is) => {
            this.#busy = is;
            send.hidden = is;
            stop.hidden = !is;
            log.setAttribute("aria-busy", String(is)); // read aloud when it is complete, not piece by piece
        };
        const had = this.shadowRoot.activeElement;
        error.hidden = true;
        busy(true);
        if (had === send) stop.focus();
        try {
            return await act();
        } finally {
            const has = this.shadowRoot.activeElement === stop;
            busy(false);
            if (has) input.focus();
        }
    }

    // ---- Display and events -----------------------------------------------------------------------------------------

    #tell(type, detail) {
        this.dispatchEvent(new CustomEvent(type, { detail }));
    }

    #progressed(progress, listener) {
        const bar = this.#parts.progress;
        bar.hidden = false;
        if (progress.total && progress.stage !== "start") bar.value = progress.done / progress.total;
        else bar.removeAttribute("value");
        this.#say(words(progress), "off"); // screen readers announce the bar
        listener(progress);
        this.#tell("progress", progress);
    }

    #say(text, live = "polite") {
        this.#parts.status.setAttribute("aria-live", live);
        this.#parts.status.textContent = text;
    }

    #show(role, text) {
        const who = make("span", { className: "hidden" }, role === "user" ? "You: " : "Answer: ");
        const message = make("div", { className: `message ${role}` }, who, text);
        this.#atEnd(() => this.#parts.log.append(message), role === "user");
        return message;
    }

    /** Change the log; if it was scrolled to its end, it stays there. */
    #atEnd(change, always = false) {
        const log = this.#parts.log;
        const follows = always || log.scrollHeight - log.scrollTop - log.clientHeight < 40;
        change();
        if (follows) log.scrollTop = log.scrollHeight;
    }

    #showInfo({ name, threads, isa, warnings, why_uncached: why }) {
        const short = name.split("/").at(-1);
        const many = threads > 1 ? `${threads} threads` : "one thread";
        const visits = why === null ? "" : `. Each visit downloads it: ${why}`;
        this.#say([`${short} runs in this tab: ${many}, ${isa}`, ...warnings].join("; ") + visits);
    }

    #showEnd({ usage, timings, stop_reason }) {
        const stopped = stop_reason === "cancelled" ? "Stopped after " : "";
        const many = usage.completion_tokens === 1 ? "1 token" : `${usage.completion_tokens} tokens`;
        const speed = timings.decode_tok_s ? `, ${timings.decode_tok_s.toFixed(1)} tokens/s` : "";
        this.#say(`${stopped}${many} in this tab${speed}`);
    }

    #showError(error) {
        const place = this.#parts.error;
        const stopped = error.name === "CancelledError";
        this.#say(stopped ? "Stopped" : "");
        place.textContent = stopped ? "" : error.message;
        place.hidden = stopped;
        this.#tell("error", error);
    }
}

if (!customElements.get("gemel-chat")) customElements.define("gemel-chat", GemelChat);
