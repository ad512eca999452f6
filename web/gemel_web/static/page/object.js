// The panel that shows an object being filled: a JSON schema, and its fields as the tokens of an answer arrive.
import { byId, everyFrame, make } from "./dom.js";
import { capital, ended, rate } from "./format.js";
import { partial } from "./partial.js";

const ASKED = "Invent a bicycle for a catalogue.";
const SCHEMA = {
    type: "object",
    properties: {
        name: { type: "string", minLength: 3, maxLength: 24 },
        kind: { enum: ["city", "mountain", "racing", "cargo"] },
        gears: { type: "integer", minimum: 1, maximum: 27 },
        electric: { type: "boolean" },
        colours: { type: "array", items: { type: "string", minLength: 3, maxLength: 12 }, minItems: 1, maxItems: 3 },
        maker: {
            type: "object",
            properties: {
                country: { type: "string", minLength: 3, maxLength: 20 },
                since: { type: "integer", minimum: 1850, maximum: 2026 },
            },
            required: ["country", "since"],
            additionalProperties: false,
        },
    },
    required: ["name", "kind", "gears", "electric", "colours", "maker"],
    additionalProperties: false,
};
const MOST = 400; // tokens of an object
const DEEPEST = 40; // levels that are drawn

export class ObjectPanel {
    #page;
    #abort = null;
    #schema = byId("schema");
    #fields = byId("object-fields");

    /** @param {object} page  {hosts, settings, configured, isBusy} */
    constructor(page) {
        this.#page = page;
        this.#schema.value = JSON.stringify(SCHEMA, null, 2);
        byId("object-ask").value = ASKED;
        byId("fill").addEventListener("click", () => this.fill());
        byId("fill-stop").addEventListener("click", () => this.#abort?.abort());
        this.#schema.addEventListener("input", () => this.#preview());
        for (const place of [this.#schema, byId("object-ask")]) {
            place.addEventListener("keydown", (event) => {
                if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.fill();
            });
        }
        byId("object").addEventListener("close", () => this.#abort?.abort());
        this.#preview();
    }

    /** Show the empty fields of the schema and return it, or say what is wrong with it and return null. */
    #preview() {
        try {
            const schema = JSON.parse(this.#schema.value);
            this.#draw(undefined, schema);
            // As an option, null would ask for no schema at all.
            this.#say(schema === null ? "The schema must be an object, true or false, not null." : "", schema === null);
            return schema;
        } catch (error) {
            this.#say(`The schema is not JSON: ${error.message}`, true);
            return null;
        }
    }

    async fill() {
        const schema = this.#preview();
        if (schema === null || this.#abort !== null) return;
        const { hosts, settings, configured, isBusy } = this.#page;
        await configured;
        if (this.#abort !== null) return; // another click came first
        if (isBusy()) {
            this.#say("Another answer is running: wait for its end, or stop it.", true);
            return;
        }
        this.#busy(new AbortController());
        this.#say("Loading …");
        let text = "";
        const draw = everyFrame(() => this.#draw(partial(text), schema, true));
        try {
            const messages = [{ role: "user", content: byId("object-ask").value }];
            const options = { ...settings.options(), max_tokens: MOST, json_schema: schema };
            const result = await hosts.current.answer(messages, options, {
                signal: this.#abort.signal,
                onProgress: () => {},
                onBegin: () => this.#say("Filling …"),
                onPart: (part) => {
                    if (part.kind !== "text") return;
                    text += part.text;
                    draw();
                },
            });
            this.#end(result, text, schema);
        } catch (error) {
            const stopped = this.#abort.signal.aborted;
            this.#say(stopped ? "Stopped." : ended(capital(error.message)), !stopped);
        }
        this.#busy(null);
    }

    #end(result, text, schema) {
        // After the last frame: a waiting one would draw the object as unfinished.
        requestAnimationFrame(() => this.#draw(partial(text), schema, result.stop_reason === "length"));
        const speed = result.timings.decode_tok_s;
        const many = `${result.usage.completion_tokens} tokens${speed ? `, ${rate(speed)} tokens/s` : ""}`;
        const why = { length: `Cut after ${many}.`, cancelled: "Stopped." }[result.stop_reason];
        this.#say(why ?? `A valid object: ${many}.`);
    }

    #busy(abort) {
        const has = document.activeElement;
        this.#abort = abort;
        byId("fill").disabled = abort !== null;
        byId("fill-stop").disabled = abort === null;
        byId("object-fields").setAttribute("aria-busy", String(abort !== null)); // read when it is complete
        if (abort !== null && has === byId("fill")) byId("fill-stop").focus();
        if (abort === null && has === byId("fill-stop")) byId("fill").focus();
    }

    #say(words, isError = false) {
        const place = byId("object-status");
        place.textContent = words;
        place.classList.toggle("bad", isError);
    }

    #draw(value, schema, isOpen = false) {
        this.#fields.replaceChildren(drawn(value, schema, isOpen, 0));
    }
}

/** What a value looks like so far. isOpen: its last part is still growing. */
function drawn(value, schema, isOpen, depth) {
    const known = schema !== null && typeof schema === "object" ? schema : {};
    if (value === undefined && (depth || !known.properties)) return make("span", { class: "empty" }, "–");
    if (depth > DEEPEST) return make("span", { class: "scalar" }, JSON.stringify(value).slice(0, 200));
    if (Array.isArray(value)) {
        const last = value.length - 1;
        const items = value.map((one, i) => drawn(one, known.items, isOpen && i === last, depth + 1));
        return items.length
            ? make("ol", { class: "items" }, ...items.map((one) => make("li", {}, one)))
            : make("span", { class: "scalar" }, "[ ]");
    }
    if (value === undefined || (value !== null && typeof value === "object")) {
        return members(value ?? {}, known.properties ?? {}, isOpen, depth);
    }
    const shown = typeof value === "string" ? value : JSON.stringify(value);
    return make("span", { class: isOpen ? "scalar open" : "scalar", "data-kind": typeof value }, shown);
}

function members(value, properties, isOpen, depth) {
    const there = Object.keys(value);
    const names = [...new Set([...Object.keys(properties), ...there])];
    const rows = names.map((name) => {
        const grows = isOpen && name === there.at(-1);
        const one = Object.hasOwn(value, name) ? value[name] : undefined;
        const part = drawn(one, properties[name], grows, depth + 1);
        return make("div", {}, make("dt", {}, name), make("dd", {}, part));
    });
    return rows.length ? make("dl", { class: "members" }, ...rows) : make("span", { class: "scalar" }, "{ }");
}
