// Shows one question and its answer. The owner makes the answer, and handles the visitor's actions (edit, again, twin).
import { Folds } from "../folds.js";
import { button, copier, make, mark } from "./dom.js";
import { count, rate, seconds } from "./format.js";
import { Markdown } from "./markdown.js";
import { ProgressView } from "./progress.js";

const LABELS = { tab: "This tab", native: "Native server", unknown: "Unknown server" };

/** The badge that says which host answered. */
export function badge(host) {
    return make("span", { class: "badge", "data-host": host }, mark(host), LABELS[host] ?? LABELS.unknown);
}

export class Turn {
    /** @param {string} question  @param {{edit: Function, again: Function, twin: Function}} wants */
    constructor(question, wants) {
        this.question = question;
        this.answer = null; // the text, once it is complete
        this.messages = []; // what the answer added to the conversation
        this.wants = wants;
        this.run = null; // the request: {messages, options}
        this.stopped = false; // before the answer was complete
        this.tokens = 0; // of the answer
        this.#asked = make("div", { class: "asked" });
        this.#where = make("span", { class: "badge-place" });
        this.#live = make("span", { class: "live" });
        this.#progress = make("div", { class: "progress-place" });
        this.#work = make("div", { class: "work" });
        this.#body = make("div", { class: "text" });
        this.#foot = make("div", { class: "foot" });
        const head = make("header", { class: "answer-head" }, this.#where, this.#live);
        const reply = make(
            "article",
            { class: "answer", "aria-label": "Answer" },
            head,
            this.#work,
            this.#progress, // next to the text, which it hides
            this.#body,
            this.#foot,
        );
        this.element = make(
            "section",
            { class: "turn", "aria-label": `Question: ${question.slice(0, 80)}` },
            this.#asked,
            reply,
        );
        this.#showQuestion();
    }

    #asked;
    #where;
    #live;
    #progress;
    #work; // reasoning and calls
    #folds = null;
    #calls = [];
    #body;
    #foot;
    #loading = null;
    #markdown = null;

    #showQuestion() {
        const acts = make(
            "div",
            { class: "acts" },
            button("edit", "Edit", () => this.#edit()),
            copier(() => this.question),
        );
        this.#asked.replaceChildren(make("h2", { class: "question", dir: "auto" }, this.question), acts);
    }

    #edit() {
        const text = make("textarea", { rows: "2", dir: "auto", "aria-label": "Edit the question" });
        text.value = this.question;
        const cancel = () => {
            this.#showQuestion();
            this.#asked.querySelector("button").focus();
        };
        const send = () => {
            if (text.value.trim()) this.wants.edit(this, text.value.trim());
        };
        text.addEventListener("keydown", (event) => {
            if (event.key === "Escape") {
                event.stopPropagation();
                cancel();
            } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
                event.preventDefault();
                send();
            }
        });
        const ask = make("button", { type: "button", class: "plain primary", on: { click: send } }, "Ask again");
        const leave = make("button", { type: "button", class: "plain", on: { click: cancel } }, "Cancel");
        const words = make("span", { class: "help" }, this.wants.losses(this));
        const title = make("h2", { class: "hidden" }, `Edit: ${this.question}`);
        this.#asked.replaceChildren(
            make("div", { class: "editing" }, title, text, make("div", { class: "row" }, ask, leave, words)),
        );
        text.focus();
    }

    // ---- While it is being answered ---------------------------------------------------------------------------------

    begin(host) {
        this.answer = null;
        this.#body.replaceChildren();
        this.#folds = new Folds();
        this.#work.replaceChildren(this.#folds.element);
        this.#foot.replaceChildren();
        this.element.classList.remove("failed");
        this.#where.replaceChildren(badge(host.name));
        this.#live.textContent = "";
        this.#loading = null;
        this.#progress.replaceChildren();
        this.#markdown = new Markdown(this.#body);
        this.element.setAttribute("aria-busy", "true");
    }

    progress(state) {
        if (this.#loading === null) {
            this.#loading = new ProgressView();
            this.#progress.replaceChildren(this.#loading.element);
        }
        this.#loading.show(state);
    }

    /** The model is loaded and evaluates the prompt. */
    began() {
        this.#progress.replaceChildren();
        this.#live.textContent = "reading the prompt";
    }

    /** Take the next part of the answer: its text comes below all else. */
    part(part) {
        this.#folds.take(part);
        if (part.kind === "text") this.#markdown.feed(part.text);
    }

    /** Render the text so far; return how many milliseconds that took. */
    render() {
        return this.#markdown.render();
    }

    speed(tokens) {
        this.#live.textContent = `${rate(tokens)} tokens/s`;
    }

    // ---- When it has ended ------------------------------------------------------------------------------------------

    end(result) {
        this.#settle();
        this.answer = result.text;
        this.messages = result.messages;
        this.#calls = result.calls;
        this.#where.replaceChildren(badge(result.where));
        const { usage, timings, stop_reason: reason } = result;
        this.stopped = reason === "cancelled";
        this.tokens = usage.completion_tokens;
        const facts = [`${count(usage.completion_tokens)} ${usage.completion_tokens === 1 ? "token" : "tokens"}`];
        if (timings.decode_tok_s) facts.push(`${rate(timings.decode_tok_s)} tokens/s`);
        if (timings.first_token_s) facts.push(`first token ${seconds(timings.first_token_s)}`);
        if (this.stopped) facts.push("stopped");
        if (reason === "length")
            facts.push(
                usage.completion_tokens === this.run.options.max_tokens
                    ? "stopped at the answer limit"
                    : "the context is full",
            );
        this.#live.textContent = facts.join(" · ");
        this.#live.title = `seed ${result.seed}, ${result.model}`;
        if (!result.text.trim()) this.#body.append(make("p", { class: "help" }, "The model gave an empty answer."));
        const twin = this.#twin(result.where);
        this.#foot.replaceChildren(
            copier(() => this.answer),
            button("again", "Regenerate", () => this.wants.again(this)),
            ...(twin ? [twin] : []),
        );
    }

    /** What a call gave in this answer, if it is the same call: {result}. */
    replay({ index, name, arguments: given }) {
        const was = this.#calls[index];
        const isSame = was?.name === name && was.arguments === given && was.result !== null;
        return isSame ? { result: was.result } : null;
    }

    #twin(where) {
        const other = where === "tab" ? "native" : "tab";
        const why = this.wants.twinWhy(other);
        if (why !== null) return null;
        const press = () => this.wants.twin(this, other);
        return button("twin", other === "tab" ? "Compare with this tab" : "Compare with the server", press, {
            class: "act twin",
        });
    }

    /** Show why there is no answer; `acts` are buttons for what the visitor can do. */
    fail(words, acts = []) {
        this.#settle();
        this.element.classList.add("failed");
        this.#live.textContent = "failed; not part of the conversation";
        this.#body.append(make("p", { class: "error" }, words)); // below the text so far
        this.#foot.replaceChildren(...acts);
    }

    #settle() {
        this.#folds?.end();
        this.#markdown?.end();
        this.#markdown = null;
        this.#progress.replaceChildren();
        this.element.removeAttribute("aria-busy");
    }

    focus() {
        this.element.tabIndex = -1;
        this.element.focus({ preventScroll: true });
    }

    /** Show a remark below the answer. */
    remark(kind, ...words) {
        this.#foot.querySelector(".remark")?.remove();
        const place = make("p", { class: `remark ${kind}` }, ...words);
        this.#foot.append(place);
        return place;
    }

    lock(locked) {
        for (const one of this.element.querySelectorAll("button:not(.copy)")) one.disabled = locked;
    }
}
