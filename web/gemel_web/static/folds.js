// Shows what an answer has besides its text: reasoning and calls of tools, each folded. For <gemel-chat> and gemel's own
// page, which style it. Texts are always text.

const make = (tag, className, ...children) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.append(...children);
    return element;
};

/** A time in words. */
const words = (ms) => (ms < 9950 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`);

export class Folds {
    #thought = null; // the open one: {element, title, text, begun}
    #calls = new Map(); // ToolCall -> its view

    /** @param {boolean} isTimed  say how long the model thought: the parts come as it writes them */
    constructor(isTimed = true) {
        this.element = make("div", "folds");
        this.#isTimed = isTimed;
    }

    #isTimed;

    /** Take the next part of an answer; a text closes what was thought before it. */
    take({ kind, text, call }) {
        if (kind === "reasoning") this.#think(text);
        else this.#close();
        if (kind === "call") this.#call(call, text);
        else if (kind === "result") this.#result(call, text);
    }

    /** The answer has ended. */
    end() {
        this.#close();
        for (const [call, { state }] of this.#calls) {
            if (call.result === null) state.textContent = call.is_complete ? "not run" : "not complete";
        }
    }

    #think(piece) {
        if (this.#thought === null) {
            const title = make("span", "title", "Thinking …");
            const text = document.createTextNode("");
            const element = make("details", "fold thought", make("summary", "", title), make("div", "inside", text));
            element.open = true;
            this.#thought = { element, title, text, begun: performance.now() };
            this.element.append(element);
        }
        this.#thought.text.appendData(piece);
    }

    #close() {
        if (this.#thought === null) return;
        const { element, title, begun } = this.#thought;
        title.textContent = this.#isTimed ? `Thought for ${words(performance.now() - begun)}` : "Thoughts";
        element.open = false;
        this.#thought = null;
    }

    #call(call, piece) {
        let view = this.#calls.get(call);
        if (view === undefined) {
            const [given, preview] = [document.createTextNode(""), document.createTextNode("")];
            const state = make("span", "state", "running …");
            const facts = make("dl", "inside", make("dt", "", "Arguments"), make("dd", "", make("pre", "", given)));
            const name = make("code", "title", call.name);
            const summary = make("summary", "", name, " ", make("span", "preview", preview), " ", state);
            view = { element: make("details", "fold call", summary, facts), facts, given, preview, state };
            this.#calls.set(call, view);
            this.element.append(view.element);
        }
        view.given.appendData(piece);
        view.preview.appendData(piece);
    }

    #result(call, text) {
        const { element, facts, state } = this.#calls.get(call);
        facts.append(make("dt", "", "Result"), make("dd", "", make("pre", "", text)));
        element.classList.toggle("failed", call.is_error);
        state.textContent = call.is_error ? "failed" : "done";
    }
}
