// Notices an answer that has begun to repeat itself, as small models do.

const LONGEST = 300; // characters of the repeated piece
const TIMES = 6; // that a piece is repeated
const [LEAST, LEAST_SHORT] = [200, 400]; // characters that must be repetition; of pieces such as "-" or "= "
const SHORT = 3;

/** Whether a text ends in the same piece, again and again. */
export function repeats(text) {
    for (let period = 1; period <= LONGEST; period++) {
        const same = repeated(text, period);
        if (period <= SHORT && same >= LEAST) return same >= LEAST_SHORT;
        if (same >= Math.max(TIMES * period, LEAST)) return true;
    }
    return false;
}

/** How many characters at the end are equal to those a period before them. */
function repeated(text, period) {
    let at = text.length - 1;
    while (at >= period && text[at] === text[at - period]) at--;
    return text.length - 1 - at;
}

const STEP = 50; // characters between two looks

/** Takes an answer's pieces; `add` returns true once the answer repeats itself. */
export class Repetition {
    #tail = "";
    #fresh = 0;

    add(piece) {
        this.#tail = (this.#tail + piece).slice(-(TIMES + 1) * LONGEST);
        this.#fresh += piece.length;
        if (this.#fresh < STEP) return false;
        this.#fresh = 0;
        return repeats(this.#tail);
    }
}
