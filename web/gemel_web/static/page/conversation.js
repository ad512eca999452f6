// The conversation: asks the chosen host, shows the answer, and reports in the conversation what changes it. It shows
// one path through the tree of questions (branches.js); kept.js stores the tree.

import { announce } from "./announce.js";
import { answerOf } from "./branches.js";
import { closer, whySame } from "./closer.js";
import { contextOf, largerOf, limitOf } from "./context.js";
import { button, byId, everyFrame, make } from "./dom.js";
import { BROKEN, LOOP, STOPPED, whyEnded } from "./ends.js";
import { explained } from "./errors.js";
import { contentOf } from "./files.js";
import { capital, count } from "./format.js";
import { AWAY } from "./native.js";
import { ProgressView } from "./progress.js";
import { inTab, ofContext, remedies } from "./remedies.js";
import { Repetition } from "./repeats.js";
import { validOptions } from "./settings.js";
import { isUnable } from "./tab.js";
import { ALTERNATIVES, tokensOf } from "./tokens.js";
import { Turn } from "./turn.js";

const LOW = "(height < 30rem)"; // as in page.css
const NEAR = 60; // pixels from the end within which the log scrolls along
const PACE = 40; // minimum milliseconds between two renders
const PATIENCE = 6; // the pause after a render is at least this many times its duration

export class Conversation {
    #turns = []; // shown
    #abort = null; // of the running task
    #ended = Promise.resolve(); // resolves when that task has ended
    #follows = true; // the log scrolls with the answer
    #top = 0; // where the log was scrolled to when that was last looked at

    /** @param {object} page  {hosts, settings, tools, figures, kept, changed} */
    constructor(page) {
        this.page = page;
        this.log = byId("log");
        this.place = byId("turns");
        history.scrollRestoration = "manual"; // where a page begins is decided here
        const scrolled = () => {
            const { scrollHeight, scrollTop, clientHeight } = this.#scroller();
            const near = scrollHeight - scrollTop - clientHeight < NEAR;
            if (scrollTop < this.#top || (near && scrollTop > this.#top)) this.#follows = near; // only a visitor scrolls up
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

    /** Begin a new conversation. */
    async clear(options) {
        await this.settle();
        this.page.kept.new(options);
        this.#redraw();
        if (options?.isPrivate) this.note("This conversation is private: it is not kept in this browser.");
    }

    /** Open a kept conversation, below the notes of the page's start or in the place of all; return if it is there. */
    async open(id, { isStart = false } = {}) {
        await this.settle();
        const isThere = await this.page.kept.open(id);
        if (isThere) this.#redraw(isStart);
        if (isStart && matchMedia(LOW).matches) this.#begin();
        return isThere;
    }

    /** Begin at the top of a low page: its header would be scrolled out of sight. */
    #begin() {
        this.#follows = false;
        document.scrollingElement.scrollTop = this.#top = 0;
    }

    /** Show the conversation that is open. */
    #redraw(keepsNotes = false) {
        this.#turns = [];
        if (!keepsNotes) this.place.replaceChildren();
        this.#showFrom(0);
        this.page.changed();
    }

    /** Show the path's questions from this one on, in the place of what is shown there. */
    #showFrom(at) {
        if (at < this.#turns.length) this.#removeFrom(at);
        for (const node of this.page.kept.tree.path().slice(at)) {
            const turn = new Turn(node, this.#wants());
            this.#turns.push(turn);
            this.#add(turn.element);
            const { options, calls, isContinued } = node.answer ?? {};
            if (calls?.length === 0 && !isContinued)
                turn.run = { messages: this.#messages(turn), options: validOptions(options) };
            turn.restore(node.answer);
        }
        const last = this.#turns.at(-1);
        if (last?.answer != null) this.#offer(last);
        this.#mark();
    }

    /** Offer what can be done about an answer that is not complete. */
    #offer(turn) {
        const { hosts, settings } = this.page;
        turn.offer(remedies(this, turn, largerOf(hosts.current, settings)));
    }

    // ---- The context ------------------------------------------------------------------------------------------------

    /** The earlier questions that the model reads before this one. */
    #read(turn) {
        const before = this.#turns.slice(0, this.#turns.indexOf(turn));
        return before.filter(({ answer, node }) => answer !== null && !node.forgotten);
    }

    canForget(turn) {
        return this.#read(turn).length > 0;
    }

    /** Let the model no longer read the older half of the questions before this one. */
    forget(turn) {
        const read = this.#read(turn);
        for (const { node } of read.slice(0, Math.ceil(read.length / 2))) node.forgotten = true;
        this.page.kept.save();
        this.#mark();
    }

    /** Set the answers' limit. */
    limit(max_tokens) {
        this.page.settings.set("max_tokens", max_tokens);
        this.announce(`Answers may now have ${count(max_tokens)} tokens.`);
    }

    /** Set a larger context for the tab. */
    raise(n_ctx) {
        this.page.settings.set("n_ctx", n_ctx);
        this.announce(`The context now has ${count(n_ctx)} tokens.`);
    }

    /** Show which questions the model no longer reads. */
    #mark() {
        this.place.querySelector(".unread")?.remove();
        for (const { element, node } of this.#turns) element.classList.toggle("forgotten", node.forgotten);
        const last = this.#turns.findLast(({ node }) => node.forgotten);
        if (last === undefined) return;
        const undo = button("again", "Read all of it again", () => {
            for (const { node } of this.#turns) node.forgotten = false;
            this.page.kept.save();
            this.#mark();
        });
        last.element.after(make("p", { class: "unread" }, "The model no longer reads what is above. ", undo));
    }

    /** The messages of a next question. */
    messagesFor(question, files) {
        return this.#messagesAfter(this.#turns, contentOf(question, files));
    }

    /** The element that scrolls: the whole page if the window is low, see page.css. */
    #scroller() {
        return matchMedia(LOW).matches ? document.scrollingElement : this.log;
    }

    #follow() {
        if (!this.#follows || this.isEmpty) return; // the welcome is read from its beginning
        if (this.#turns.length === 0 && matchMedia(LOW).matches) return; // notes: the header stays in sight
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
        announce(words);
    }

    /** Announce what there is of the answer that is under way. */
    readSoFar() {
        const text = this.#turns.at(-1)?.node.answer?.text.trim();
        announce(text ? `So far: ${text}` : "There is no text yet.");
    }

    #add(element) {
        this.place.append(element);
        this.page.changed();
        this.#follows = true;
        this.#follow();
    }

    // ---- Asking -----------------------------------------------------------------------------------------------------

    /** Ask below the last question. */
    async ask(question, { files = [], focus = false } = {}) {
        const { kept } = this.page;
        const turn = new Turn(kept.tree.add(this.#turns.at(-1)?.node ?? null, question, files), this.#wants());
        this.#turns.at(-1)?.offer([]);
        this.#turns.push(turn);
        kept.save();
        this.#add(turn.element);
        if (focus) turn.focus();
        await this.#answer(turn);
    }

    #wants() {
        return {
            edit: (turn, question) => this.#askAgain(turn, question),
            again: (turn) => this.again(turn),
            keeps: (turn) => this.#keeps(turn),
            version: (turn, at) => this.#version(turn, at),
            versions: ({ node }) => {
                const all = this.page.kept.tree.versions(node);
                return { at: all.indexOf(node), of: all.length };
            },
            twin: (turn, other) => this.#compare(turn, other),
            closer: (turn, result, body) => closer(turn, result, body, this.page),
            twinWhy: (other) => this.page.hosts.whyNoTwin(other),
        };
    }

    /** Say what stays when a question is asked again. */
    #keeps(turn) {
        if (turn.answer === null) return "";
        const many = this.#turns.length - this.#turns.indexOf(turn) - 1;
        const after =
            many === 0 ? "" : many === 1 ? ", with the question after it" : `, with the ${many} questions after it`;
        return `The version before is kept${after}.`;
    }

    again(turn) {
        return this.#askAgain(turn, turn.question);
    }

    /** Go on with an answer that is not complete. */
    async proceed(turn) {
        if (!this.busy) await this.#answer(turn, turn.node.answer);
    }

    /** Ask another version of a question. One that has no answer gives its place to the new one. */
    async #askAgain(turn, question) {
        if (this.busy) return;
        const { tree } = this.page.kept;
        const focus = this.place.contains(document.activeElement); // it may be in what is removed
        if (turn.answer === null && !tree.hasMore(turn.node)) tree.remove(turn.node);
        const at = this.#turns.indexOf(turn);
        this.#removeFrom(at);
        await this.ask(question, { files: turn.node.files, focus });
    }

    #removeFrom(at) {
        const first = this.#turns[at].element;
        while (first.nextSibling) first.nextSibling.remove();
        first.remove();
        this.#turns.length = at;
    }

    /** Show another version of a question, and what follows it. */
    #version(turn, at) {
        if (this.busy) return;
        const { kept } = this.page;
        const place = this.#turns.indexOf(turn);
        const versions = kept.tree.versions(turn.node);
        kept.tree.show(versions[at]);
        this.#showFrom(place);
        this.#follows = false;
        kept.save();
        this.#turns[place].element.scrollIntoView({ block: "nearest" });
        this.#turns[place].focusVersions(at > versions.indexOf(turn.node));
        this.announce(`Version ${at + 1} of ${versions.length}`);
    }

    #messages(turn) {
        return this.#messagesAfter(this.#turns.slice(0, this.#turns.indexOf(turn)), asked(turn));
    }

    #messagesAfter(turns, content) {
        const system = this.page.settings.get("system");
        const before = turns.filter(({ answer, node }) => answer !== null && !node.forgotten);
        return [
            ...(system.trim() ? [{ role: "system", content: system }] : []),
            ...before.flatMap((one) => [{ role: "user", content: asked(one) }, ...one.messages]),
            { role: "user", content },
        ];
    }

    /** Answer a question, or go on with its answer `begun`. */
    async #answer(turn, begun = null) {
        const host = this.page.hosts.current;
        const tools = this.page.tools.chosen;
        const more = { top_logprobs: ALTERNATIVES, ...(tools.length ? { tools } : {}) };
        const options = { ...this.page.settings.options(), ...more };
        turn.run = { messages: [...this.#messages(turn), ...(begun?.messages ?? [])], options, begun };
        await this.busily(async (signal) => {
            try {
                await this.#stream(turn, host, signal);
            } catch (error) {
                const other = this.#canFallBack(host, error);
                if (other === null) await this.#failed(turn, host, error, signal);
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
        const { figures, settings, speeds } = this.page;
        const limit = () => (options.max_tokens ??= limitOf(host, settings)); // once the model is known
        if (host.name === "native" || host.isLoaded) limit();
        figures.begin(host);
        const asked = performance.now();
        let computes = false; // the model is loaded: no more progress
        let first = null; // when the first token came: the visitor's wait, loading included
        const given = await host.answer(messages, options, {
            signal,
            onProgress: everyFrame((state) => this.#abort && !computes && view.progress(state)),
            onBegin: () => {
                computes = true;
                limit();
                view.began();
                announce(`${capital(LABELS[host.name])} answers.`);
                this.page.changed();
            },
            onPart: (part, count) => {
                first ??= performance.now();
                view.part(part, part.kind === "result" ? null : figures.piece(count), count);
            },
        });
        const { logprobs, ...result } = given;
        result.tokens = tokensOf(logprobs);
        if (first !== null) result.timings.first_token_s = (first - asked) / 1000;
        figures.end(result, host.info ?? null, contextOf(host, settings));
        if (host.isLoaded) speeds.note(host.modelName, result.timings.decode_tok_s, host.info.weight_size);
        return result;
    }

    async #stream(turn, host, signal) {
        const { begun } = turn.run;
        turn.begin(host, begun);
        const draw = this.#drawing(turn);
        const repetition = new Repetition();
        const sofar = partial(host, this.page.hosts.modelName, begun);
        let loops = false;
        const part = (one, speed, many) => {
            turn.part(one);
            if (speed !== null) turn.speed(speed);
            draw.soon();
            sofar.usage.completion_tokens = many;
            if (one.kind !== "text") return;
            sofar.text += one.text;
            turn.node.answer = joined(begun, answerOf(sofar), false); // if the page is closed now, or it breaks off
            this.page.kept.soon();
            if (loops || !repetition.add(one.text)) return;
            loops = true;
            this.stop();
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
        if (isEmpty && begun === null && result.stop_reason === "cancelled")
            throw new DOMException("stopped", "AbortError");
        result.why = loops ? LOOP : whyEnded(result, turn.run.options);
        this.#end(turn, joined(begun, result), result.usage.completion_tokens);
    }

    /** Show and keep an answer that has ended; `fresh` tokens of it are of the last request. */
    #end(turn, result, fresh) {
        turn.end(result, fresh);
        this.#keep(turn, { ...result, options: turn.run.options });
        this.#offer(turn);
        this.announce(`${result.why ? `${capital(result.why)}. ` : ""}Answer: ${result.text}`);
    }

    /** Keep an answer in the tree: its plain values. Tools are functions, and so is nothing of what they gave. */
    #keep(turn, { options, calls, ...result }) {
        const { tools: _, onCall: __, ...plain } = options;
        turn.node.answer = { ...result, options: plain, calls: calls.map((call) => ({ ...call })) };
        this.page.kept.save();
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
            `This tab can’t run the model. ${explained(error).words} ` +
            `The native server answers instead, with ${native.model ?? "its model"}. ` +
            "Choose “This tab” above to try it here again.";
        this.place.insertBefore(make("div", { class: "note", role: "note" }, make("p", {}, words)), turn.element);
        this.announce(words);
        this.page.hosts.choose("native");
        try {
            await this.#stream(turn, native, signal);
        } catch (second) {
            await this.#failed(turn, native, second, signal);
        }
    }

    async #failed(turn, host, error, signal) {
        const { hosts, settings } = this.page;
        const sofar = turn.node.answer;
        if (signal.aborted && sofar === null) {
            turn.halt([button("again", "Ask again", () => this.again(turn))]);
            this.announce("Stopped before the first word.");
            return;
        }
        if (error.name === AWAY) await hosts.watch();
        if (sofar !== null) {
            this.#end(turn, { ...sofar, why: signal.aborted ? STOPPED : BROKEN }, sofar.usage.completion_tokens);
            if (!signal.aborted) turn.say(explained(error), host.name === "native" ? inTab(this, turn, hosts) : []);
            return;
        }
        const acts =
            error.name === "ContextError"
                ? ofContext(this, turn, largerOf(host, settings), () => this.again(turn))
                : [button("again", "Try again", () => this.again(turn))];
        if (error.name === AWAY) acts.push(...inTab(this, turn, hosts));
        if (host.name === "tab" && hosts.why("native") === null) {
            acts.push(
                button("twin", "Ask the native server", () => {
                    hosts.choose("native");
                    this.again(turn);
                }),
            );
        }
        if (host.name === "tab" && !host.isLoaded)
            acts.push(button("edit", "Choose another model", () => this.page.openModels()));
        if (error.name === "KeyError") acts.push(button("edit", "Enter the key", () => this.page.openKey()));
        turn.fail(explained(error), acts);
        this.announce(explained(error).words);
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
        const { messages, options, begun } = turn.run;
        const more = turn.stopped ? { max_tokens: turn.tokens } : {};
        if (options.tools) more.onCall = (call) => turn.replay(call); // a clock would tell another time
        const run = { messages, options: { ...options, ...more } };
        await this.busily(async (signal) => {
            try {
                const result = await this.#run(host, run, signal, { progress, began, part: () => {} });
                turn.remark(...verdict(turn, result, LABELS[other], begun?.text.length ?? 0)).after(whySame());
            } catch (error) {
                turn.remark("waits", signal.aborted ? "The comparison was stopped." : explained(error).words);
            }
        });
        this.announce(turn.element.querySelector(".remark").textContent);
    }
}

/** What the model reads of a question. */
const asked = ({ question, node }) => contentOf(question, node.files);

const LABELS = { tab: "this tab", native: "the native server" };

/** An answer of which nothing has come yet. */
const partial = (host, model, begun) => ({
    text: "",
    where: host.name,
    model: model ?? "",
    usage: { completion_tokens: 0 },
    why: STOPPED,
    isContinued: begun !== null,
});

/** An answer and what continues it as one. A whole one's messages begin with the one that it continues. */
function joined(begun, next, isWhole = next.messages.length > 0) {
    if (begun === null) return next;
    const text = begun.text + next.text;
    const last = { ...begun.messages.at(-1), content: begun.messages.at(-1).content + next.text };
    return {
        ...next,
        text,
        reasoning: begun.reasoning + next.reasoning,
        tokens: begun.tokens.length && next.tokens.length ? [...begun.tokens, ...next.tokens] : [],
        calls: [...begun.calls, ...next.calls].map((call, index) => ({ ...call, index })),
        messages: [...begun.messages.slice(0, -1), ...(isWhole ? next.messages : [last])],
        usage: {
            ...next.usage,
            completion_tokens: begun.usage.completion_tokens + next.usage.completion_tokens,
        },
        isContinued: true,
    };
}

/**
 * Compare two answers, character by character, from `start` on. An answer that was stopped is compared as far as it goes.
 */
function verdict(turn, result, who, start) {
    if (result.stop_reason === "cancelled") return ["waits", "The comparison was stopped."];
    const [text, other] = [turn.answer.slice(start), result.text].map(whole);
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
