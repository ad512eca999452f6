// The tokens of an answer with their probabilities: choose one, and its alternatives appear, as the model saw them when
// it wrote the answer. Knows nothing of hosts. A token is [text, log-probability, [[text, log-probability], ...]].
import { make } from "./dom.js";

export const ALTERNATIVES = 5; // of a token, asked for with each answer
const MOST = 100_000; // tokens that are read from storage
const STEPS = [0.5, 0.2, 0.05, 0.01]; // probabilities under which a token is one degree more surprising
const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Tokens of an answer's log-probabilities in OpenAI's form. */
export const tokensOf = (logprobs = []) =>
    logprobs.map((one) => [textOf(one), one.logprob, one.top_logprobs.map((top) => [textOf(top), top.logprob])]);

/** A token's text; bytes that are no whole characters as \xe2\x80. */
function textOf({ bytes }) {
    try {
        return utf8.decode(Uint8Array.from(bytes));
    } catch {
        return bytes.map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
    }
}

/** Stored tokens; none if they are damaged. */
export function storedTokens(given) {
    const isPair = (one) => Array.isArray(one) && typeof one[0] === "string" && Number.isFinite(one[1]);
    const isToken = (one) => isPair(one) && Array.isArray(one[2]) && one[2].every(isPair);
    return Array.isArray(given) && given.length <= MOST && given.every(isToken) ? given : [];
}

const bits = (tokens) => tokens.reduce((sum, [, logprob]) => sum - logprob / Math.LN2, 0);

/** A probability in per cent. */
export function percent(logprob) {
    const value = 100 * Math.exp(logprob);
    if (value > 99.9 && value < 100) return "over 99.9 %";
    if (value < 0.1) return "under 0.1 %";
    return `${value.toFixed(value >= 9.95 ? 0 : 1)} %`;
}

/** A token as it is named: spaces and line ends can be seen. */
const named = (text) => text.replaceAll("\n", "↵").replaceAll("\t", "⇥").replace(/^ | $/g, "␣") || "(empty)";

/** The view of an answer's tokens. @param {{get: () => boolean, set: (is: boolean) => void}} colours  a setting */
export function tokenView(tokens, colours) {
    const list = make("div", {
        class: "token-list",
        role: "listbox",
        "aria-label": "Tokens of the answer",
        dir: "auto",
    });
    const more = make("div", { class: "token-more", "aria-live": "polite" });
    const all = tokens.map(([text, logprob]) => optionOf(text, logprob));
    for (const one of all) list.append(one, ...(one.textContent.endsWith("↵") ? ["\n"] : []));
    let at = 0;
    const choose = (next) => {
        all[at].tabIndex = -1;
        all[at].setAttribute("aria-selected", "false");
        at = next;
        all[at].tabIndex = 0;
        all[at].setAttribute("aria-selected", "true");
        more.replaceChildren(...alternatives(tokens[at]));
    };
    list.addEventListener("click", ({ target }) => {
        const next = all.indexOf(target);
        if (next < 0) return;
        choose(next);
        all[at].focus({ preventScroll: true });
    });
    list.addEventListener("keydown", (event) => {
        const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
        if (next === undefined || !(next in all)) return;
        event.preventDefault();
        choose(next);
        all[at].focus();
    });
    const input = make("input", { type: "checkbox" });
    input.checked = colours.get();
    const paint = () => list.classList.toggle("coloured", input.checked);
    input.addEventListener("change", () => {
        colours.set(input.checked);
        paint();
    });
    paint();
    const mean = (bits(tokens) / tokens.length).toFixed(2);
    const scale = make("span", { class: "surprise", "aria-hidden": "true" }, ...[0, 1, 2, 3, 4].map(sample));
    const head = make(
        "p",
        { class: "token-head" },
        make("label", {}, input, "Colour by surprise"),
        make("span", { class: "scale-words" }, "expected ", scale, " surprising"),
        make("span", { class: "mean" }, `${mean} bits per token`),
    );
    choose(0);
    return make("div", { class: "token-view" }, head, list, more);
}

const sample = (degree) => make("span", { "data-degree": degree });

function optionOf(text, logprob) {
    const degree = STEPS.filter((step) => Math.exp(logprob) < step).length;
    return make(
        "span",
        {
            class: "token",
            role: "option",
            tabindex: "-1",
            "aria-selected": "false",
            "data-degree": degree,
        },
        text.replaceAll("\n", "↵") || "∅",
    );
}

/** What was likely in a token's place: a heading, rows, and what they are. */
function alternatives([text, logprob, top]) {
    const isListed = top.some(([other]) => other === text);
    const rows = isListed ? top : [...top, [text, logprob]];
    const rest = 1 - rows.reduce((sum, [, one]) => sum + Math.exp(one), 0);
    return [
        make("p", { class: "token-name" }, make("code", {}, named(text)), ` had ${percent(logprob)}`),
        make("ol", {}, ...rows.map(([other, one]) => rowOf(named(other), one, other === text))),
        make(
            "p",
            { class: "help" },
            rest > 0.0005 ? `All other tokens together: ${percent(Math.log(rest))}. ` : "",
            "These are the model’s own probabilities, before temperature and the other settings.",
        ),
    ];
}

function rowOf(name, logprob, isChosen) {
    const fill = make("span", {});
    fill.style.width = `${100 * Math.exp(logprob)}%`;
    return make(
        "li",
        { class: isChosen ? "chosen" : null },
        make("code", {}, name),
        make("span", { class: "bar", "aria-hidden": "true" }, fill),
        make("span", { class: "share" }, percent(logprob)),
        isChosen ? make("span", { class: "hidden" }, " chosen") : null,
    );
}
