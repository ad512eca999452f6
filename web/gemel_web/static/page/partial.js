// The beginning of a JSON text becomes the value so far: what is not yet there is left out. Knows nothing of the page.

const WORDS = { true: true, false: false, null: null };
const NOTHING = Symbol("no value yet");

class Reader {
    constructor(text) {
        this.text = text;
        this.at = 0;
    }

    /** Skip white space and return the next character; "" at the end. */
    next() {
        while (/\s/.test(this.text.charAt(this.at))) this.at++;
        return this.text.charAt(this.at);
    }

    value() {
        const first = this.next();
        if (first === "{") return this.object();
        if (first === "[") return this.array();
        if (first === '"') return this.string().value;
        return this.word();
    }

    object() {
        const found = {};
        this.at++;
        while (this.next() === '"') {
            const { value: name, isWhole } = this.string();
            if (!isWhole || this.next() !== ":") return found;
            this.at++;
            const value = this.value();
            if (value === NOTHING) return found;
            Object.defineProperty(found, name, { value, enumerable: true, configurable: true, writable: true });
            if (this.next() !== ",") break;
            this.at++;
        }
        if (this.next() === "}") this.at++;
        return found;
    }

    array() {
        const found = [];
        this.at++;
        while (this.next() !== "]" && this.next() !== "") {
            const value = this.value();
            if (value === NOTHING) return found;
            found.push(value);
            if (this.next() !== ",") break;
            this.at++;
        }
        if (this.next() === "]") this.at++;
        return found;
    }

    string() {
        const [written, close] = /"((?:[^"\\]|\\(?:u[0-9a-fA-F]{4}|[^u]))*)("?)/
            .exec(this.text.slice(this.at))
            .slice(1);
        this.at += written.length + 1 + close.length;
        if (!close) this.at = this.text.length; // half of an escape may be left
        return { value: JSON.parse(`"${written}"`), isWhole: close !== "" };
    }

    word() {
        const [word] = /^[-+.\w]*/.exec(this.text.slice(this.at));
        this.at += word.length;
        if (word in WORDS) return WORDS[word];
        const number = Number(word.replace(/[eE.+-]+$/, ""));
        return /^-?\d/.test(word) && !Number.isNaN(number) ? number : NOTHING;
    }
}

/** The value of the beginning of a JSON text; undefined: there is none yet. */
export function partial(text) {
    const found = new Reader(text).value();
    return found === NOTHING ? undefined : found;
}
