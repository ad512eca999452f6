// Shows one question and its answer. The owner makes the answer, and handles the visitor's actions (edit, again, twin).
import { Folds } from "../folds.js";
import { fold, sizeOf } from "./attachments.js";
import { button, copier, icon, make, mark } from "./dom.js";
import { BROKEN, LOOP, STOPPED } from "./ends.js";
import { details } from "./errors.js";
import { count, rate, seconds } from "./format.js";
import { Markdown } from "./markdown.js";
import { ProgressView } from "./progress.js";
import { labelEnter, sends } from "./touch.js";

const LABELS = { tab: "This tab", native: "Native server", unknown: "Unknown server" };

/** An error, and its details. */
const wordsOf = (words, detail) => [make("p", { class: "error" }, words), details(detail)].filter(Boolean);

/** The badge that says which host answered. */
export function badge(host) {
    return make("span", { class: "badge", "data-host": host }, mark(host), LABELS[host] ?? LABELS.unknown);
}

/** The buttons that show the other versions of a question, and which one this is. */
function versionsOf(turn, { at, of }) {
    const isEnd = (one) => one < 0 || one >= of;
    const step = (by, name, label) =>
        make(
            "button",
            {
                type: "button",
                class: `act step${isEnd(at + by) ? " ends" : ""}`,
                "aria-label": label,
                disabled: isEnd(at + by),
                on: { click: () => turn.wants.version(turn, at + by) },
            },
            icon(name),
        );
    return make(
        "span",
        { class: "versions", role: "group", "aria-label": "Versions" },
        step(-1, "left", "Version before"),
        make("span", { class: "which" }, `${at + 1}/${of}`),
        step(1, "right", "Next version"),
    );
}

export class Turn {
    /** @param {object} node  of Branches  @param {{edit: Function, again: Function, twin: Function}} wants */
    constructor(node, wants) {
        const { question } = node;
        this.node = node;
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
            { class: "turn", role: "group", "aria-label": `Question: ${question.slice(0, 80)}` },
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
    #begun = []; // calls of earlier requests
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
        const versions = this.wants.versions(this);
        if (versions.of > 1) acts.append(versionsOf(this, versions));
        const files = this.node.files.map((file) => fold(file, sizeOf(file)));
        const list = files.length ? make("ul", { class: "files", "aria-label": "Attached files" }, ...files) : null;
        const title = make("h2", { class: "question", dir: "auto" }, this.question);
        this.#asked.replaceChildren(...[title, list, acts].filter((one) => one !== null));
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
            } else if (sends(event)) {
                event.preventDefault();
                send();
            }
        });
        const ask = make("button", { type: "button", class: "plain primary", on: { click: send } }, "Ask again");
        const leave = make("button", { type: "button", class: "plain", on: { click: cancel } }, "Cancel");
        const words = make("span", { class: "help" }, this.wants.keeps(this));
        const title = make("h2", { class: "hidden" }, `Edit: ${this.question}`);
        this.#asked.replaceChildren(
            make("div", { class: "editing" }, title, text, make("div", { class: "row" }, ask, leave, words)),
        );
        text.focus();
        labelEnter(text);
    }

    // ---- While it is being answered ---------------------------------------------------------------------------------

    /** Begin an answer, or go on with `begun`, which is shown. */
    begin(host, begun) {
        this.answer = null;
        this.#body.replaceChildren();
        this.#showText();
        this.#begun = begun?.calls ?? [];
        if (begun === null) {
            this.#folds = new Folds();
            this.#work.replaceChildren(this.#folds.element);
        }
        this.#foot.replaceChildren();
        this.element.classList.remove("failed");
        this.#where.replaceChildren(badge(host.name));
        this.#live.textContent = "";
        this.#loading = null;
        this.#progress.replaceChildren();
        this.#markdown = new Markdown(this.#body);
        if (begun !== null) this.#markdown.feed(begun.text);
        this.#markdown.render();
        this.element.setAttribute("aria-busy", "true");
    }

    /** Show the text in the place of its tokens. */
    #showText() {
        this.#body.hidden = false;
        this.element.querySelector(".token-view")?.remove();
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

    /** Show an answer; `result.why` says why it is not complete, or is "". `fresh`: tokens of the last request. */
    end(result, fresh = result.usage.completion_tokens) {
        this.#settle();
        this.answer = result.text;
        this.messages = result.messages;
        this.#calls = result.calls;
        this.#where.replaceChildren(badge(result.where));
        const { usage, timings, why } = result;
        this.stopped = [STOPPED, LOOP, BROKEN].includes(why);
        this.tokens = fresh;
        const facts = [`${count(usage.completion_tokens)} ${usage.completion_tokens === 1 ? "token" : "tokens"}`];
        if (timings.decode_tok_s) facts.push(`${rate(timings.decode_tok_s)} tokens/s`);
        if (timings.first_token_s) facts.push(`first token ${seconds(timings.first_token_s)}`);
        if (why) facts.push(why);
        this.#live.textContent = facts.join(" · ");
        this.#live.title = result.model;
        if (!result.text.trim()) this.#body.append(make("p", { class: "help" }, "The model gave an empty answer."));
        const twin = this.#twin(result.where);
        this.#foot.replaceChildren(
            copier(() => this.answer),
            button("again", "Regenerate", () => this.wants.again(this)),
            ...(twin ? [twin] : []),
            ...this.wants.closer(this, result, this.#body),
        );
    }

    /** Show an answer that was given before; null: there is none. */
    restore(answer) {
        this.#folds = new Folds(false);
        this.#work.replaceChildren(this.#folds.element);
        if (answer === null) {
            this.#body.replaceChildren(make("p", { class: "help" }, "This question has no answer."));
            this.#foot.replaceChildren(button("again", "Ask again", () => this.wants.again(this)));
            return;
        }
        const take = (part) => this.#folds.take(part);
        if (answer.reasoning) take({ kind: "reasoning", text: answer.reasoning });
        for (const call of answer.calls) {
            take({ kind: "call", text: call.arguments, call });
            if (call.result !== null) take({ kind: "result", text: call.result, call });
        }
        this.#markdown = new Markdown(this.#body);
        this.#markdown.feed(answer.text);
        this.end(answer);
    }

    /** Offer buttons for what can be done about an answer that is not complete, in the place of earlier ones. */
    offer(acts) {
        for (const one of this.#foot.querySelectorAll(".more")) one.remove();
        this.#foot.prepend(...acts);
    }

    /** Say what happened below an answer; `acts` are further buttons. */
    say({ words, detail }, acts) {
        this.#body.append(...wordsOf(words, detail));
        this.#foot.append(...acts);
    }

    /** What a call gave in the last request's answer, if it is the same call: {result}. */
    replay({ index, name, arguments: given }) {
        const was = this.#calls[index + this.#begun.length];
        const isSame = was?.name === name && was.arguments === given && was.result !== null;
        return isSame ? { result: was.result } : null;
    }

    #twin(where) {
        const other = where === "tab" ? "native" : "tab";
        if (this.run === null || this.wants.twinWhy(other) !== null) return null;
        const press = () => this.wants.twin(this, other);
        return button("twin", other === "tab" ? "Compare with this tab" : "Compare with the server", press, {
            class: "act twin",
        });
    }

    /** Show why there is no answer; `acts` are buttons for what the visitor can do. */
    fail({ words, detail }, acts = []) {
        this.#settle();
        this.element.classList.add("failed");
        this.#live.textContent = "failed; not part of the conversation";
        this.#body.append(...wordsOf(words, detail)); // below the text so far
        this.#foot.replaceChildren(...acts);
    }

    /** The visitor stopped it before it began. */
    halt(acts) {
        this.#settle();
        this.#live.textContent = STOPPED;
        this.#body.replaceChildren(make("p", { class: "help" }, "Stopped before the first word."));
        this.#foot.replaceChildren(...acts);
    }

    #settle() {
        this.#folds?.end();
        this.#markdown?.end();
        this.#markdown = null;
        this.#progress.replaceChildren();
        this.element.removeAttribute("aria-busy");
    }

    /** Focus a button of the versions: the one that was pressed, or the other where it is at its end. */
    focusVersions(isNext) {
        const [before, next] = this.#asked.querySelectorAll(".step");
        const [wanted, other] = isNext ? [next, before] : [before, next];
        (wanted.disabled ? other : wanted).focus({ preventScroll: true });
    }

    focus() {
        this.element.tabIndex = -1;
        this.element.focus({ preventScroll: true });
    }

    /** Show a remark below the answer. */
    remark(kind, ...words) {
        for (const one of this.#foot.querySelectorAll(".remark, .why-same")) one.remove();
        const place = make("p", { class: `remark ${kind}` }, ...words);
        this.#foot.append(place);
        return place;
    }

    lock(locked) {
        for (const one of this.element.querySelectorAll("button:not(.copy, .free)"))
            one.disabled = locked || one.classList.contains("ends");
    }
}
