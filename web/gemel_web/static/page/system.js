// The system prompt: presets to begin with, and a sign beside the message field that one is set.
import { byId, make } from "./dom.js";

const PRESETS = {
    "No system prompt": "",
    Brief: "Answer in one or two short sentences.",
    Teacher:
        "Explain step by step, in plain words, with one example. End with a short question that checks understanding.",
    Editor: "Correct grammar and spelling of the text that you get. Keep its meaning and tone. Answer with the corrected text alone.",
    Translator: "Translate the text that you get into English. Answer with the translation alone.",
    Programmer: "You write short, correct programs. Show the code first, then one sentence about how it works.",
};

/** @param {import("./settings.js").Settings} settings */
export function systemPrompts(settings) {
    const select = byId("preset");
    const own = make("option", { value: "" }, "Your own");
    select.append(...Object.keys(PRESETS).map((name) => make("option", { value: name }, name)), own);
    const sign = byId("system-sign");
    const show = () => {
        const text = settings.get("system").trim();
        const name = Object.keys(PRESETS).find((one) => PRESETS[one] === text);
        select.value = name ?? "";
        sign.hidden = text === "";
        sign.textContent = name ? `System: ${name.toLowerCase()}` : "System prompt set";
        sign.title = text;
    };
    select.addEventListener("change", () => {
        if (select.value) settings.set("system", PRESETS[select.value]);
        else byId("system").focus();
    });
    sign.addEventListener("click", () => {
        byId("settings").open_();
        byId("system").focus();
    });
    settings.addEventListener("change", show);
    show();
}
