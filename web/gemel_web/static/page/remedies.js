// What a visitor can do about an answer that is not complete, or did not come: the buttons below it.
import { button } from "./dom.js";
import { BROKEN, FULL, LIMIT, LOOP, STOPPED } from "./ends.js";
import { bytes, count } from "./format.js";

const more = (name, label, act) => button(name, label, act, { class: "act more" });

/** For an answer that ended early. `talk` can proceed(turn), forget(turn), raise(n_ctx); `larger` is from largerOf. */
export function remedies(talk, turn, larger) {
    const { why, text, messages, reasoning, usage } = turn.node.answer;
    const hasText = text !== "" && messages.at(-1)?.role === "assistant" && !messages.at(-1).tool_calls;
    if (!hasText && reasoning && why === LIMIT) return [withMore(talk, turn, 2 * usage.completion_tokens)];
    if (!hasText) return [];
    const proceed = () => talk.proceed(turn);
    if (why === FULL) return ofContext(talk, turn, larger, proceed);
    const goesOn = [STOPPED, LIMIT, LOOP, BROKEN].includes(why);
    return goesOn ? [more("right", "Continue", proceed)] : [];
}

/** For an answer that is all reasoning, which can't be continued: another one with a higher limit. */
function withMore(talk, turn, limit) {
    const press = () => {
        talk.limit(limit);
        talk.again(turn);
    };
    return more("again", `Ask again with up to ${count(limit)} tokens`, press);
}

/** For a context that is full: `act` comes after it. */
export function ofContext(talk, turn, larger, act) {
    const found = [];
    if (talk.canForget(turn)) {
        const forget = () => {
            talk.forget(turn);
            act();
        };
        found.push(more("remove", "Forget the oldest turns", forget));
    }
    if (larger !== null) {
        const raise = () => {
            talk.raise(larger.n_ctx);
            act();
        };
        const cost = `${bytes(larger.bytes)} more memory`;
        found.push(more("again", `Raise the context to ${count(larger.n_ctx)} (${cost})`, raise));
    }
    return found;
}

/** For an answer of the server's that can't come: the tab may give it. */
export function inTab(talk, turn, hosts) {
    if (hosts.why("tab") !== null || hosts.tab.source === null) return [];
    const press = () => {
        hosts.choose("tab");
        talk.again(turn);
    };
    return [more("twin", "Answer in this tab instead", press)];
}
