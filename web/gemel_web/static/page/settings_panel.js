// The settings' dialog: one field for each of FIELDS. A valid value is applied immediately, an invalid one is reported.
import { byId, make } from "./dom.js";
import { FIELDS } from "./settings.js";

/** @param {import("./settings.js").Settings} settings  @param {{key: string}} native  whose key is entered here */
export function settingsPanel(settings, native) {
    const status = byId("settings-status");
    const say = (words) => (status.textContent = words);
    const inputs = {};
    for (const [name, field] of Object.entries(FIELDS)) {
        inputs[name] = fieldOf(name, field, settings, say);
        byId("fields").append(inputs[name].closest("div"));
    }
    const system = byId("system");
    const show = () => {
        for (const [name, input] of Object.entries(inputs)) {
            if (document.activeElement !== input) input.value = settings.get(name) ?? "";
            input.disabled = settings.isSilent(name);
            const why = settings.isSilent(name) ? "ignored at temperature 0" : FIELDS[name].help;
            input.closest("div").querySelector(".help").textContent = why;
        }
        if (document.activeElement !== system) system.value = settings.get("system");
        showTheme(settings.get("theme"));
    };
    system.addEventListener("input", () => say(settings.set("system", system.value) ?? "Saved in this browser."));
    for (const radio of document.querySelectorAll("input[name=theme]")) {
        radio.addEventListener("change", () => settings.set("theme", radio.value));
    }
    byId("defaults").addEventListener("click", () => {
        settings.reset();
        for (const input of Object.values(inputs)) input.removeAttribute("aria-invalid");
        say("All fields are back to their defaults.");
    });
    byId("key").addEventListener("input", () => (native.key = byId("key").value.trim()));
    byId("settings-form").addEventListener("submit", (event) => event.preventDefault());
    settings.addEventListener("change", show);
    show();
}

function fieldOf(name, field, settings, say) {
    const input = make("input", {
        id: `set-${name}`,
        type: "number",
        step: "any",
        min: field.min,
        inputmode: "decimal",
        placeholder: field.empty,
        "aria-describedby": `help-${name}`,
        autocomplete: "off",
    });
    const help = make("p", { class: "help", id: `help-${name}` }, field.help);
    input.addEventListener("input", () => {
        const empty = input.value.trim() === "" && !input.validity.badInput;
        const wrong = settings.set(name, empty ? null : input.valueAsNumber);
        input.toggleAttribute("aria-invalid", wrong !== null);
        if (wrong !== null) input.setAttribute("aria-invalid", "true");
        help.textContent = wrong === null ? field.help : wrong.replace(/^.*?: /, "");
        say(wrong ?? "Saved in this browser.");
    });
    input.addEventListener("blur", () => {
        if (!input.hasAttribute("aria-invalid")) return;
        input.removeAttribute("aria-invalid");
        input.value = settings.get(name) ?? "";
        help.textContent = field.help;
        say(`${field.label} stays ${settings.get(name) ?? field.empty}.`);
    });
    const label = make("label", { for: input.id }, field.label, make("code", {}, name));
    make("div", {}, label, input, help);
    return input;
}

function showTheme(theme) {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    document.querySelector(`input[name=theme][value=${theme}]`).checked = true;
}
