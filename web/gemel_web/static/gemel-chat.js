// <gemel-chat model="...">: a conversation with a model that runs in the visitor's tab, on any page. Shows what
// gemel.js does and reports it in events (ready, progress, part, piece, done, error); knows nothing of how text is
// generated. Answers are Markdown, drawn as on gemel's own page.
//
//     <script type="module" src="https://example.org/gemel/gemel-chat.js"></script>
//     <gemel-chat model="https://example.org/model.gguf" system="Be brief."></gemel-chat>
import { downloadOf, keep } from "./chat_download.js";
import { STYLE } from "./chat_style.js";
import { offerOf, plainly } from "./chat_words.js";
import { Folds } from "./folds.js";
import { Gemel, Generation, ToolCall } from "./gemel.js";
import { loadOptionsOf, shown } from "./options.js";
import { words } from "./words.js";

export { Gemel, Generation, ToolCall, words };

const { url: SCRIPT } = import.meta; // bundlers take `new URL(".", import.meta.url)` for a file to copy
const HERE = new URL(".", SCRIPT).href;
const ASK_ABOVE = 20; // MB of a download: the visitor is asked before a larger one
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
    #asking = false; // the visitor is asked about a download
    #agreed = false;
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
        const examples = make("slot", { name: "examples" });
        const welcome = make(
            "div",
            { className: "welcome", part: "welcome" },
            make("slot", { name: "greeting" }),
            make("div", { className: "examples", part: "examples" }, examples),
        );
        const log = make("div", { className: "log", part: "log", tabindex: "0", ...live }, welcome);
        const progress = make("progress", {
            max: "1",
            "aria-label": "Loading the model",
            hidden: "",
            part: "progress",
        });
        const status = make("div", { className: "status", part: "status", role: "status" });
        const error = make("p", { className: "error", part: "error", role: "alert", hidden: "" });
        const offer = make("div", {
            className: "offer",
            part: "offer",
            role: "group",
            "aria-label": "Download",
            hidden: "",
        });
        const input = make("textarea", { id: "input", part: "input", rows: "1", dir: "auto", autocomplete: "off" });
        const send = make("button", { type: "button", part: "button send" }, "Send");
        const stop = make("button", { type: "button", className: "stop", part: "button stop", hidden: "" }, "Stop");
        const label = make("label", { className: "hidden", for: "input" }, "Your message");
        // The form is never submitted: a sandboxed frame may forbid that.
        const form = make("form", { part: "form" }, label, input, send, stop);
        root.append(log, error, offer, status, progress, form);
        examples.addEventListener("click", ({ target }) => this.#ideaOf(target));
        send.addEventListener("click", () => this.#send());
        input.addEventListener("keydown", (event) => {
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            this.#send();
        });
        root.addEventListener("keydown", (event) => {
            if (event.key !== "Escape") return;
            if (this.#asking) this.#parts.offer.querySelector(".later").click();
            else if (this.#busy) this.stop();
        });
        stop.addEventListener("click", () => this.stop());
        return { log, welcome, progress, status, error, offer, input, send, stop };
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
            const { prompt, ...kept } = { ...this.#draft(), ...wanted.options, ...given };
            const isBytes = wanted.model instanceof ArrayBuffer || ArrayBuffer.isView(wanted.model);
            const attribute = this.getAttribute("model");
            this.#last = { model: isBytes ? null : wanted.model, options: kept, attribute };
            const report = (progress) => this.#progressed(progress, listener);
            const info = await this.gemel.load(wanted.model, { ...kept, prompt, signal, onProgress: report });
            if (info.why_uncached === null) keep(wanted.model, kept.draft);
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
            this.#parts.welcome.hidden = this.#parts.log.querySelector(".message") !== null;
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
        const text = await this.#writing(answer);
        try {
            for await (const part of generation.parts()) {
                this.#atEnd(() => {
                    folds.take(part);
                    if (part.kind === "text") text.feed(part.text);
                });
                this.#tell("part", part);
                if (part.kind === "text") this.#tell("piece", { text: part.text });
            }
        } finally {
            this.#atEnd(() => {
                folds.end();
                text.end();
            });
        }
        const result = await generation.result;
        if (result.text)
            this.#atEnd(() =>
                answer.append(
                    make(
                        "div",
                        { className: "foot" },
                        text.copier(() => result.text),
                    ),
                ),
            );
        return result;
    }

    /** What draws the text of an answer: {feed, end, copier}. Loaded with the first answer. */
    async #writing(answer) {
        const place = make("div", { className: "text", part: "text" });
        const [{ Markdown }, { copier }] = await Promise.all([import("./page/markdown.js"), import("./page/dom.js")]);
        const markdown = new Markdown(place);
        answer.append(place);
        let waits = false;
        const draw = () => {
            waits = false;
            this.#atEnd(() => markdown.render());
        };
        return {
            feed: (piece) => {
                markdown.feed(piece);
                if (!waits) requestAnimationFrame(draw);
                waits = true;
            },
            end: () => markdown.end(),
            copier,
        };
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

    /** The option of load() that the attribute `draft` says. */
    #draft() {
        const draft = this.getAttribute("draft");
        return draft === null ? {} : { draft: draft === "false" ? false : draft };
    }

    async #send() {
        const { input } = this.#parts;
        if (!input.value.trim() || this.#busy || this.#asking) return;
        if (!(await this.#agrees())) return;
        const text = input.value.trim();
        if (!text || this.#busy) return;
        input.value = "";
        await this.ask(text).catch(() => {}); // shown, and reported by an event
    }

    /** An example was pressed: its button's text, or its data-question, is the question. */
    #ideaOf(target) {
        const act = target instanceof Element ? target.closest("button, [data-question]") : null;
        if (act === null || this.#busy || this.#asking) return;
        this.#parts.input.value = act.dataset.question ?? act.textContent.trim();
        this.#send();
    }

    /** Whether the visitor agrees to what the question downloads. Small downloads need no question. */
    async #agrees() {
        if (this.#agreed || this.#isLoaded()) return true;
        const above = Number(this.getAttribute("ask-above") ?? ASK_ABOVE);
        let model;
        let options;
        try {
            ({ model, options } = this.#wanted());
        } catch {
            return true; // ask() reports it
        }
        this.#asking = true;
        try {
            const { draft } = { ...this.#draft(), ...options };
            const download = await downloadOf(model, draft, this.getAttribute("base") ?? HERE);
            const isSmall =
                download === null || (download.size !== null && download.size + download.program <= above * 1e6);
            this.#agreed = isSmall || Number.isNaN(above) || (await this.#offer(download));
            return this.#agreed;
        } finally {
            this.#asking = false;
        }
    }

    /** Say what a question downloads, and wait for the visitor's word. */
    #offer(download) {
        const { offer, input } = this.#parts;
        return new Promise((resolve) => {
            const end = (agrees) => {
                offer.hidden = true;
                offer.replaceChildren();
                input.focus();
                resolve(agrees);
            };
            const go = make("button", { type: "button", part: "button" }, "Download and answer");
            const later = make("button", { type: "button", className: "later", part: "button" }, "Not now");
            go.addEventListener("click", () => end(true));
            later.addEventListener("click", () => end(false));
            offer.replaceChildren(make("p", {}, offerOf(download)), make("div", { className: "row" }, go, later));
            offer.hidden = false;
            go.focus();
        });
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
        const message = make("div", { className: `message ${role}`, part: `message ${role}` }, who, text);
        this.#parts.welcome.hidden = true;
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
        place.textContent = stopped ? "" : plainly(error);
        if (!stopped) console.error("<gemel-chat>", error); // for the page's author
        place.hidden = stopped;
        this.#tell("error", error);
    }
}

if (!customElements.get("gemel-chat")) customElements.define("gemel-chat", GemelChat);
