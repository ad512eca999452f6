// A running generation as a page sees it: text in pieces, and its parts, which tell text, reasoning, calls of tools and
// their results apart. Knows nothing of workers or of how tools run.

/** A call of a tool. */
export class ToolCall {
    constructor(index, { id, name }) {
        this.index = index; // its place among the calls of the generation
        this.id = id;
        this.name = name;
        this.arguments = ""; // a JSON object, as text; while the answer runs, its beginning
        this.is_complete = false; // it was written to its end
        this.result = null; // the text that the model gets; null: none yet
        this.is_error = false; // the result says what went wrong
    }

    /** The arguments by name. SyntaxError for a call that is not complete. */
    get values() {
        return JSON.parse(this.arguments || "{}");
    }
}

/** `for await` yields its pieces of text, `parts()` all of it; `result` resolves when it has ended. */
export class Generation {
    #pending = ""; // text that next() has not returned yet
    #parts = [];
    #waiting = []; // resolve functions of those that wait for more
    #ended = false;
    #stop;

    /**
     * @param {(listener: {part: (part: object, count: number) => void}) => {answer: Promise<object>, stop: () => void}}
     *     begin  only Gemel creates one
     */
    constructor(begin) {
        this.text = "";
        this.reasoning = "";
        this.calls = [];
        this.count = 0; // tokens sampled so far
        const { answer, stop } = begin({ part: (part, count) => this.#take(part, count) });
        this.#stop = stop;
        this.result = answer;
        const end = () => {
            this.#ended = true;
            this.#wake();
        };
        this.result.then(end, end);
    }

    #take(part, count) {
        const { kind, text, call } = part;
        if (kind === "text") {
            this.text += text;
            this.#pending += text;
        } else if (kind === "reasoning") this.reasoning += text;
        else if (!this.calls.includes(call)) this.calls.push(call);
        this.count = count;
        this.#parts.push(part);
        this.#wake();
    }

    #wake() {
        const waiting = this.#waiting;
        this.#waiting = [];
        for (const wake of waiting) wake();
    }

    #more() {
        return new Promise((resolve) => this.#waiting.push(resolve));
    }

    async next() {
        while (!this.#pending && !this.#ended) await this.#more();
        if (!this.#pending) return { done: true, value: await this.result };
        const value = this.#pending;
        this.#pending = "";
        return { done: false, value };
    }

    async return(value) {
        this.stop();
        await this.result.catch(() => {});
        return { done: true, value };
    }

    [Symbol.asyncIterator]() {
        return this;
    }

    /** All parts, from the first on, as they grow: {kind, text, call}. Leaving the loop stops the generation. */
    async *parts() {
        try {
            for (let at = 0; ; at++) {
                while (at === this.#parts.length && !this.#ended) await this.#more();
                if (at === this.#parts.length) return await this.result;
                yield this.#parts[at];
            }
        } finally {
            await this.return();
        }
    }

    /** End it now; `result` then says "cancelled". */
    stop() {
        if (!this.#ended) this.#stop();
    }
}
