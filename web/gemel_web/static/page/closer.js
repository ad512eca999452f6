// For those who look closer, below an answer: its tokens with their probabilities, the seed, and the answer as a program.
import { button, copier, make } from "./dom.js";
import { asCurl, asJavaScript, asPython } from "./programs.js";
import { reader } from "./speech.js";
import { tokenView } from "./tokens.js";

const SERVER = "http://localhost:8090/v1"; // of `gemel serve`
const LANGUAGES = { Python: asPython, curl: asCurl, JavaScript: asJavaScript };
const FREE = { class: "act free" }; // works while another answer is written

/** Buttons below an answer. `body` shows its text. @param {object} page  {hosts, settings} */
export function closer(turn, result, body, page) {
    const found = [];
    if (result.tokens?.length) found.push(probabilities(result.tokens, body, page.settings));
    if (Number.isFinite(result.seed)) found.push(seedOf(result.seed));
    if (turn.run !== null) found.push(...copies(turn, result, page.hosts));
    const read = result.text.trim() ? reader(() => result.text) : null;
    if (read !== null) found.unshift(read);
    return found;
}

function seedOf(seed) {
    const act = copier(() => String(seed), `Seed ${seed}`);
    act.classList.add("seed");
    act.title = "Copy the seed: with it in Settings, the same question gets the same answer";
    return act;
}

/** The switch between an answer's text and its tokens. */
function probabilities(tokens, body, settings) {
    let view = null;
    const colours = { get: () => settings.get("surprise"), set: (is) => settings.set("surprise", is) };
    const act = button("bars", "Probabilities", () => {
        const isOn = view === null;
        act.setAttribute("aria-pressed", String(isOn));
        body.hidden = isOn;
        view?.remove();
        view = isOn ? tokenView(tokens, colours) : null;
        if (isOn) body.after(view);
    });
    for (const [name, value] of Object.entries({ ...FREE, "aria-pressed": "false" })) act.setAttribute(name, value);
    return act;
}

function copies(turn, result, hosts) {
    const row = make("p", { class: "copies", role: "group", "aria-label": "Copy this answer as", hidden: true });
    for (const [name, write] of Object.entries(LANGUAGES))
        row.append(copier(() => write(askedOf(turn, result, hosts)), name));
    const act = button("code", "Copy as …", () => {
        row.hidden = !row.hidden;
        act.setAttribute("aria-expanded", String(!row.hidden));
    });
    for (const [name, value] of Object.entries({ ...FREE, "aria-expanded": "false" })) act.setAttribute(name, value);
    return [act, row];
}

/** What programs.js needs: the last request of an answer. */
function askedOf(turn, result, hosts) {
    const { top_logprobs: _, onCall: __, tools, max_rounds: ___, ...options } = turn.run.options;
    const notes = [];
    const before = result.calls.length ? result.messages.slice(0, -1) : [];
    if (before.length) notes.push("The answer after the results of its tools.");
    if (turn.run.begun) notes.push("The rest of an answer that had stopped.");
    const described = tools?.map(({ type, function: one }) => ({ type, function: one }));
    const source = sourceOf(result, hosts, notes);
    const hasServer = hosts.native.why === null;
    const isNative = result.where === "native";
    const name = typeof source === "string" ? source : "MODEL.gguf";
    return {
        messages: [...turn.run.messages, ...before],
        options: {
            ...options,
            seed: result.seed,
            ...(turn.stopped ? { max_tokens: turn.tokens } : {}),
            ...(described ? { tools: described } : {}),
        },
        source,
        model: isNative ? result.model : hasServer ? hosts.native.model : null,
        server: hasServer || isNative ? new URL("v1", document.baseURI).href : SERVER,
        hasKey: (hasServer || isNative) && Boolean(hosts.native.key),
        gemel: new URL("gemel.js", document.baseURI).href,
        notes,
        serverNotes: hasServer || isNative ? [] : [`First, in another terminal: gemel serve ${name}`],
    };
}

/** The address of the model that answered; null: only the server has it. */
function sourceOf(result, { tab, native, offered }, notes) {
    if (result.where !== "tab") return offered.find(({ alias }) => alias === result.model)?.url ?? null;
    const { source } = tab;
    if (typeof source === "string") return source;
    if (source === null) return native.why === null ? null : "MODEL.gguf";
    notes.push("The file from your disk: correct its path, if it is elsewhere.");
    return `./${source.name}`;
}

/** Why two computers give the same answer. */
export function whySame() {
    return make(
        "details",
        { class: "why-same" },
        make("summary", {}, "Why the same?"),
        make(
            "p",
            {},
            "gemel adds in one fixed order and rounds in one way, on every processor and in every browser. So the same " +
                "model, messages, settings and seed give the same numbers everywhere, to the last bit, and the same " +
                "answer. Elsewhere the same seed often gives another text on another machine.",
        ),
    );
}
