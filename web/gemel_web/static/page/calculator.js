// Evaluates arithmetic, such as 2 * (3 + 4) ^ 2 / sqrt(9), by reading it: nothing is run as a program.

const TOKEN = /\s*(?:(\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)|([a-z]+)|(\*\*|[-+*/%^(),×÷−]))/iy;
const SAME = { "**": "^", "×": "*", "÷": "/", "−": "-" };
const CONSTANTS = { pi: Math.PI, e: Math.E };
const FUNCTIONS = {
    sqrt: 1,
    abs: 1,
    round: 1,
    floor: 1,
    ceil: 1,
    sin: 1,
    cos: 1,
    tan: 1,
    log: 1,
    exp: 1,
    min: 2,
    max: 2,
};
const LENGTH = 1000; // characters of an expression
const DEPTH = 100; // of parentheses and signs in each other

/** The value of an expression. Error: it is not one, or has no finite value. */
export function calculate(expression) {
    if (typeof expression !== "string") throw new Error("the expression must be a text");
    if (expression.length > LENGTH) throw new Error(`the expression is longer than ${LENGTH} characters`);
    const reader = new Reader(tokensOf(expression));
    const value = reader.sum(0);
    if (reader.next !== undefined) throw new Error(`there is a ${reader.next.text} too many`);
    if (!Number.isFinite(value)) throw new Error("it has no finite value");
    return Number.isInteger(value) ? value : Number(value.toPrecision(15)); // 0.1 + 0.2 is 0.3 for a reader
}

function tokensOf(expression) {
    const tokens = [];
    const text = expression.trimEnd();
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < text.length) {
        const at = TOKEN.lastIndex;
        const found = TOKEN.exec(text);
        if (found === null) throw new Error(`${JSON.stringify(text.slice(at).trim()[0])} is not arithmetic`);
        const [, number, name, sign] = found;
        tokens.push({ number, name: name?.toLowerCase(), text: number ?? name ?? SAME[sign] ?? sign });
    }
    return tokens;
}

class Reader {
    #tokens;
    #at = 0;

    constructor(tokens) {
        this.#tokens = tokens;
    }

    get next() {
        return this.#tokens[this.#at];
    }

    /** Take the next token if it is one of these signs. */
    #taken(...signs) {
        const token = this.next;
        if (token === undefined || token.number !== undefined || !signs.includes(token.text)) return null;
        this.#at++;
        return token.text;
    }

    #must(sign) {
        if (this.#taken(sign) === null) throw new Error(`a ${sign} is missing`);
    }

    sum(depth) {
        if (depth > DEPTH) throw new Error(`it is nested more than ${DEPTH} deep`);
        let value = this.#product(depth);
        for (let sign = this.#taken("+", "-"); sign !== null; sign = this.#taken("+", "-")) {
            const other = this.#product(depth);
            value = sign === "+" ? value + other : value - other;
        }
        return value;
    }

    #product(depth) {
        let value = this.#signed(depth);
        for (let sign = this.#taken("*", "/", "%"); sign !== null; sign = this.#taken("*", "/", "%")) {
            const other = this.#signed(depth);
            if (sign === "*") value *= other;
            else value = sign === "/" ? value / other : value % other;
        }
        return value;
    }

    #signed(depth) {
        if (depth > DEPTH) throw new Error(`it is nested more than ${DEPTH} deep`);
        const sign = this.#taken("+", "-");
        if (sign !== null) return sign === "-" ? -this.#signed(depth + 1) : this.#signed(depth + 1);
        const base = this.#atom(depth);
        return this.#taken("^") === null ? base : base ** this.#signed(depth + 1); // from right to left
    }

    #atom(depth) {
        if (this.#taken("(") !== null) {
            const value = this.sum(depth + 1);
            this.#must(")");
            return value;
        }
        const token = this.next;
        if (token === undefined) throw new Error("it ends too early");
        this.#at++;
        if (token.number !== undefined) return Number(token.number);
        if (token.name === undefined) throw new Error(`a number is missing before ${token.text}`);
        if (Object.hasOwn(CONSTANTS, token.name)) return CONSTANTS[token.name];
        if (!Object.hasOwn(FUNCTIONS, token.name)) throw new Error(`${token.name} is not known`);
        return this.#call(token.name, depth);
    }

    #call(name, depth) {
        this.#must("(");
        const given = [this.sum(depth + 1)];
        while (this.#taken(",") !== null) given.push(this.sum(depth + 1));
        this.#must(")");
        if (FUNCTIONS[name] === 1 && given.length !== 1) throw new Error(`${name} takes one number`);
        return Math[name](...given);
    }
}
