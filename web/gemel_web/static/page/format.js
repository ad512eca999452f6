// Turns numbers and names into text for people.

const plain = (digits) =>
    new Intl.NumberFormat("en-GB", { maximumFractionDigits: digits, minimumFractionDigits: digits });
const whole = plain(0);
const tenth = plain(1);

export const count = (n) => whole.format(n);

/** Tokens per second. */
export const rate = (n) => (n >= 100 ? whole : tenth).format(n);

export function bytes(n) {
    if (n >= 1e9) return `${plain(2).format(n / 1e9)} GB`;
    return n >= 1e6 ? `${(n < 1e8 ? tenth : whole).format(n / 1e6)} MB` : `${whole.format(Math.ceil(n / 1e3))} kB`;
}

export const seconds = (s) => (s < 1 ? `${whole.format(s * 1000)} ms` : `${tenth.format(s)} s`);

/** Capitalise the start of a sentence; an address stays unchanged. */
export const capital = (words) => (/^[a-z]+:/.test(words) ? words : words[0].toUpperCase() + words.slice(1));
export const ended = (words) => (/[.!?]$/.test(words) ? words : `${words}.`);

/** A model's name: the last part of its address, or the file's name, without .gguf. */
export function shortName(source) {
    const name = typeof source === "string" ? decoded(source.split(/[?#]/)[0].split("/").at(-1)) : source.name;
    return name.replace(/\.gguf$/i, "") || String(source.name ?? source);
}

function decoded(part) {
    try {
        return decodeURIComponent(part);
    } catch {
        return part; // an invalid % escape: keep it as typed
    }
}
