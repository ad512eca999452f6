// The conversation: asks the chosen host, shows the answer, and reports in the conversation what changes it. Messages
// are kept only here: a reload deletes them.
import { button, byId, everyFrame, make } from "./dom.js";
import { capital, ended } from "./format.js";
import { ProgressView } from "./progress.js";
import { isUnable } from "./tab.js";
import { Turn } from "./turn.js";

const LOW = "(height < 30rem)"; // as in page.css
const NEAR = 60; // pixels from the end within which the log scrolls along
const PACE = 40; // minimum milliseconds between two renders
const PATIENCE = 6; // the pause after a render is at least this many times its duration

export class Conversation {
    #turns = [];
    #abort = null; // of the running task
    #ended = Promise.resolve(); // resolves when that task has ended
    #follows = true; // the log scrolls with the answer
    #top = 0; // where the log was scrolled to when that was last looked at

    /** @param {object} page  {hosts, settings, tools, figures, changed} */
    constructor(page) {
        this.page = page;
        this.log = byId("log");
        this.place = byId("turns");
        const scrolled = () => {
            const { scrollHeight, scrollTop, clientHeight } = this.#scroller();
            const near = scrollHeight - scrollTop - clientHeight < NEAR;
            if (near || scrollTop < this.#top) this.#follows = near; // only a visitor scrolls up
            this.#top = scrollTop;
        };
        this.log.addEventListener("scroll", scrolled, { passive: true });
        document.addEventListener("scroll", scrolled, { passive: true });
        const changes = { attributes: true, characterData: true, childList: true, subtree: true };
        new MutationObserver(() => this.#follow()).observe(this.place, changes);
        new ResizeObserver(() => this.#follow()).observe(this.place);
    }

    get busy() {
        return this.#abort !== null;
    }

    get isEmpty() {
        return this.place.childElementCount === 0;
    }

    stop() {
        this.#abort?.abort();
    }

    /** Stop the running task, and wait until it has ended. */
    async settle() {
        this.stop();
        await this.#ended;
    }

    async clear() {
        await this.settle();
        this.#turns = [];
        this.place.replaceChildren();
        this.page.changed();
    }

    /** The element that scrolls: the whole page if the window is low, see page.css. */
    #scroller() {
        return matchMedia(LOW).matches ? document.scrollingElement : this.log;
    }

    #follow() {
        if (!this.#follows) return;
        const scroller = this.#scroller();
        scroller.scrollTop = scroller.scrollHeight;
        this.#top = scroller.scrollTop; // less than before if the text shrank: no visitor did that
    }

    // ---- Notes ------------------------------------------------------------------------------------------------------

    /** Show a note that is neither question nor answer. */
    note(words, ...acts) {
        const place = make("div", { class: "note", role: "note" }, make("p", {}, words), ...acts);
        this.#add(place);
        this.announce(words);
        return place;
    }

    announce(words) {
        byId("announcer").replaceChildren(make("p", {}, words));
    }

    #add(element) {
        this.place.append(element);
        this.page.changed();
        this.#follows = true;
        this.#follow();
    }

    // ---- Asking -----------------------------------------------------------------------------------------------------

    /** Ask as the last turn. */
    async ask(question, { focus = false } = {}) {
        const turn = new Turn(question, this.#wants());
        this.#turns.push(turn);
        this.#add(turn.element);
        if (focus) turn.focus();
        await this.#answer(turn);
    }

    #wants() {
        return {
            edit: (turn, question) => this.#askAgain(turn, question),
            again: (turn) => this.#askAgain(turn, turn.question),
            losses: (turn) => this.#losses(turn),
            twin: (turn, other) => this.#compare(turn, other),
            twinWhy: (other) => this.page.hosts.whyNoTwin(other),
        };
    }

    #after(turn) {
        return this.#turns.slice(this.#turns.indexOf(turn) + 1);
    }

    /** Say what asking a question again deletes. */
    #losses(turn) {
        const many = this.#after(turn).length;
        if (many) return `Deletes this answer and the ${many === 1 ? "question" : `${many} questions`} after it.`;
        return turn.answer === null ? "" : "Deletes this answer.";
    }

    async #askAgain(turn, question) {
        if (this.busy) return;
        const focus = this.place.contains(document.activeElement); // it may be in what is deleted
        const many = this.#after(turn).length;
        for (const later of this.#after(turn)) later.element.remove();
        for (let next = turn.element.nextSibling; next !== null; next = turn.element.nextSibling) next.remove();
        this.#turns = this.#turns.slice(0, this.#turns.indexOf(turn));
        turn.element.remove();
        if (many)
            this.note(
                `Asked again: ${many === 1 ? "one later question was" : `${many} later questions were`} deleted.`,
            );
        await this.ask(question, { focus });
    }

    #messages(turn) {
        const system = this.page.settings.get("system");
        const before = this.#turns.slice(0, this.#turns.indexOf(turn)).filter((one) => one.answer !== null);
        return [
            ...(system.trim() ? [{ role: "system", content: system }] : []),
            ...before.flatMap((one) => [{ role: "user", content: one.question }, ...one.messages]),
            { role: "user", content: turn.question },
        ];
    }

    async #answer(turn) {
        const host = this.page.hosts.current;
        const tools = this.page.tools.chosen;
        const options = { ...this.page.settings.options(), ...(tools.length ? { tools } : {}) };
        turn.run = { messages: this.#messages(turn), options };
        await this.busily(async (signal) => {
            try {
                await this.#stream(turn, host, signal);
            } catch (error) {
                const other = this.#canFallBack(host, error);
                if (other === null) this.#failed(turn, host, error, signal);
                else await this.#fallBack(turn, other, error, signal);
            }
        });
    }

    /** Run a task that stop() ends by its signal; one task at a time. */
    async busily(task) {
        await this.settle();
        let over;
        this.#ended = new Promise((resolve) => (over = resolve));
        this.#abort = new AbortController();
        const had = document.activeElement;
        this.#lock(true);
        try {
            await task(this.#abort.signal);
        } finally {
            this.#abort = null;
            this.#lock(false);
            if (document.activeElement === document.body) had?.focus({ preventScroll: true }); // it was locked
            over();
        }
    }

    #lock(locked) {
        for (const turn of this.#turns) turn.lock(locked);
        this.page.changed();
    }

    /** Ask a host and show the figures of its answer. `view` has callbacks: progress, began, part. */
    async #run(host, { messages, options }, signal, view) {
        const { figures } = this.page;
        figures.begin(host);
        const asked = performance.now();
        let computes = false; // the model is loaded: no more progress
        let first = null; // when the first token came: the visitor's wait, loading included
        const result = await host.answer(messages, options, {
            signal,
            onProgress: everyFrame((state) => this.#abort && !computes && view.progress(state)),
            onBegin: () => {
                computes = true;
                view.began();
                this.page.changed();
            },
            onPart: (part, count) => {
                first ??= performance.now();
                view.part(part, part.kind === "result" ? null : figures.piece(count));
            },
        });
        if (first !== null) result.timings.first_token_s = (first - asked) / 1000;
        figures.end(result, host.info ?? null);
        return result;
    }

    async #stream(turn, host, signal) {
        turn.begin(host);
        const draw = this.#drawing(turn);
        const part = (one, speed) => {
            turn.part(one);
            if (speed !== null) turn.speed(speed);
            draw.soon();
        };
        let result;
        try {
            const view = { progress: (state) => turn.progress(state), began: () => turn.began(), part };
            result = await this.#run(host, turn.run, signal, view);
        } finally {
            draw.stop();
        }
        turn.render();
        const isEmpty = !result.text && !result.reasoning && !result.calls.length;
        if (isEmpty && result.stop_reason === "cancelled") throw new DOMException("stopped", "AbortError");
        turn.end(result);
        this.announce(`${result.stop_reason === "cancelled" ? "Stopped. " : ""}Answer: ${result.text}`);
    }

    /** Render at animation frames, but not so often that rendering takes most of the time. */
    #drawing(turn) {
        let waiting = false;
        let over = false;
        let due = 0;
        const draw = (now) => {
            if (over) return;
            if (now < due) {
                requestAnimationFrame(draw);
                return;
            }
            waiting = false;
            due = now + Math.max(PACE, PATIENCE * turn.render());
        };
        return {
            soon: () => {
                if (!waiting) requestAnimationFrame(draw);
                waiting = true;
            },
            stop: () => (over = true),
        };
    }

    // ---- Failures ---------------------------------------------------------------------------------------------------

    #canFallBack(host, error) {
        if (host.name !== "tab" || !isUnable(error)) return null;
        return this.page.hosts.why("native") === null ? this.page.hosts.native : null;
    }

    async #fallBack(turn, native, error, signal) {
        const words =
            `This tab can’t run the model: ${error.message}. ` +
            `The native server answers instead, with ${native.model ?? "its model"}. ` +
            "Choose “This tab” above to try it here again.";
        this.place.insertBefore(make("div", { class: "note", role: "note" }, make("p", {}, words)), turn.element);
        this.announce(words);
        this.page.hosts.choose("native");
        try {
            await this.#stream(turn, native, signal);
        } catch (second) {
            this.#failed(turn, native, second, signal);
        }
    }

    #failed(turn, host, error, signal) {
        if (signal.aborted) {
            turn.fail(STOPPED, [button("again", "Ask again", () => turn.wants.again(turn))]);
            this.announce(STOPPED);
            return;
        }
        const acts = [button("again", "Try again", () => turn.wants.again(turn))];
        const { hosts } = this.page;
        if (host.name === "tab" && hosts.why("native") === null) {
            acts.push(
                button("twin", "Ask the native server", () => {
                    hosts.choose("native");
                    turn.wants.again(turn);
                }),
            );
        }
        if (host.name === "tab" && !host.isLoaded)
            acts.push(button("edit", "Choose another model", () => this.page.openModels()));
        if (error.name === "KeyError") acts.push(button("edit", "Enter the key", () => this.page.openKey()));
        turn.fail(sentence(error), acts);
        this.announce(sentence(error));
    }

    // ---- The same bits ----------------------------------------------------------------------------------------------

    /** Ask the other host the same question with the same seed, and compare the answers. */
    async #compare(turn, other) {
        if (this.busy) return;
        const host = this.page.hosts[other];
        const place = turn.remark("waits", `Asking ${LABELS[other]} the same question with the same seed …`);
        const bars = new ProgressView();
        const progress = (state) => {
            if (!bars.element.isConnected) place.append(bars.element);
            bars.show(state);
        };
        const began = () => bars.element.remove();
        const { messages, options } = turn.run;
        const more = turn.stopped ? { max_tokens: turn.tokens } : {};
        if (options.tools) more.onCall = (call) => turn.replay(call); // a clock would tell another time
        const run = { messages, options: { ...options, ...more } };
        await this.busily(async (signal) => {
            try {
                const result = await this.#run(host, run, signal, { progress, began, part: () => {} });
                turn.remark(...verdict(turn, result, LABELS[other]));
            } catch (error) {
                turn.remark("waits", signal.aborted ? "The comparison was stopped." : sentence(error));
            }
        });
        this.announce(turn.element.querySelector(".remark").textContent);
    }
}

const STOPPED = "Stopped before the first word.";
const LABELS = { tab: "this tab", native: "the native server" };

/** Compare two answers, character by character. An answer that was stopped is compared as far as it goes. */
function verdict(turn, result, who) {
    if (result.stop_reason === "cancelled") return ["waits", "The comparison was stopped."];
    const [text, other] = [turn.answer, result.text].map(whole);
    const length = turn.stopped ? Math.min(text.length, other.length) : Math.max(text.length, other.length);
    let at = 0;
    while (at < length && text[at] === other[at]) at++;
    const extent = turn.stopped ? `as far as this one goes: ${length} characters` : `all ${length} characters`;
    if (at === length) return ["same", `Same bits: ${who} gives the same answer, ${extent}.`];
    return [
        "differs",
        `Not the same: ${who} (${result.model}) differs from character ${at + 1} on. Are model and context the same?`,
    ];
}

/** A text without the incomplete character it may end in, which hosts show as a replacement mark or not at all. */
const whole = (text) => text.replace(/\ufffd+$/, "");

const sentence = (error) => ended(capital(error.message || error.name));
