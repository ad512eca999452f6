// The page's example tools, and the dialog that switches them on. They run in this page, whichever host answers.
import { calculate } from "./calculator.js";
import { byId, make } from "./dom.js";

const MOST = 200; // notes
const LONGEST = 2000; // characters of a note

const object = (properties, required = Object.keys(properties)) => ({
    type: "object",
    properties,
    required,
    additionalProperties: false,
});
const tool = (name, description, parameters, run) => ({
    type: "function",
    function: { name, description, parameters },
    run,
});

/** The time in a time zone, as a clock and a calendar on the wall show it. */
function now({ time_zone: zone }) {
    const timeZone = zone || Intl.DateTimeFormat().resolvedOptions().timeZone;
    const [dateStyle, timeStyle] = ["full", "short"];
    const shown = new Intl.DateTimeFormat("en-GB", { dateStyle, timeStyle, timeZone }).format(new Date());
    return { time: shown, time_zone: timeZone };
}

export class Tools {
    #settings;
    #notes = [];
    #groups; // what a visitor switches on: {name, label, help, tools}

    /** @param {import("./settings.js").Settings} settings */
    constructor(settings) {
        this.#settings = settings;
        const zone = { type: "string", description: "such as Europe/Rome; leave it out for the user's own" };
        this.#groups = [
            {
                name: "clock",
                label: "Clock",
                help: "the time and the date, here or in a time zone",
                tools: [tool("get_time", "Get the current time and date.", object({ time_zone: zone }, []), now)],
            },
            {
                name: "calculator",
                label: "Calculator",
                help: "arithmetic with powers, roots and sines",
                tools: [
                    tool(
                        "calculate",
                        "Calculate the value of an arithmetic expression.",
                        object({ expression: { type: "string", description: "such as 2 * (3 + 4) ^ 2 / sqrt(9)" } }),
                        ({ expression }) => calculate(expression),
                    ),
                ],
            },
            {
                name: "notes",
                label: "Notes",
                help: "a list on this page, until it is closed",
                tools: [
                    tool(
                        "add_note",
                        "Add a note to the user's list.",
                        object({ text: { type: "string", minLength: 1, maxLength: LONGEST } }),
                        ({ text }) => this.#note(text),
                    ),
                    tool("list_notes", "Read the user's notes.", object({}), () => this.#notes),
                ],
            },
        ];
        byId("tool-list").replaceChildren(...this.#groups.map((group) => this.#row(group)));
        byId("clear-notes").addEventListener("click", () => {
            this.#notes = [];
            this.show();
        });
        this.show();
    }

    get #on() {
        const names = this.#settings.get("tools").split(" ");
        return this.#groups.filter(({ name }) => names.includes(name));
    }

    /** The tools that are on, for an answer. */
    get chosen() {
        return this.#on.flatMap(({ tools }) => tools);
    }

    #note(text) {
        if (this.#notes.length >= MOST) throw new Error(`the list is full: it has ${MOST} notes`);
        this.#notes = [...this.#notes, text];
        this.show();
        return { notes: this.#notes.length };
    }

    #row({ name, label, help, tools }) {
        const input = make("input", { type: "checkbox", id: `tool-${name}`, "aria-describedby": `tool-help-${name}` });
        input.checked = this.#settings.get("tools").split(" ").includes(name);
        input.addEventListener("change", () => this.#switch());
        const names = tools.map((one) => make("code", {}, one.function.name));
        const words = make("span", { class: "help", id: `tool-help-${name}` }, help);
        return make("li", {}, make("label", { for: input.id }, input, make("b", {}, label), ...names), words);
    }

    #switch() {
        const on = this.#groups.filter(({ name }) => byId(`tool-${name}`).checked);
        this.#settings.set("tools", on.map(({ name }) => name).join(" "));
        this.show();
    }

    show() {
        const on = this.#on.map(({ label }) => label.toLowerCase());
        byId("open-tools").querySelector(".label").textContent = `Tools: ${on.join(", ") || "none"}`;
        byId("notes").hidden = !this.#notes.length;
        byId("note-list").replaceChildren(...this.#notes.map((text) => make("li", { dir: "auto" }, text)));
    }
}
