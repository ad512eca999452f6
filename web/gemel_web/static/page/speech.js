// Reading aloud and voice input, only where the browser does them on this device: nothing is sent to anyone. Where it
// can't, their buttons don't exist.
import { button, byId } from "./dom.js";

const speaker = globalThis.speechSynthesis ?? null;
const localVoices = () => (speaker?.getVoices() ?? []).filter(({ localService }) => localService);
localVoices(); // some browsers begin to look for voices only when they are asked for the first time

/** A voice of this device for a language; null: there is none. */
function voiceFor(language) {
    const voices = localVoices();
    const short = language.split("-")[0];
    return (
        voices.find(({ lang }) => lang === language) ??
        voices.find(({ lang }) => lang.startsWith(short)) ??
        voices[0] ??
        null
    );
}

/** A button that reads a text aloud, and stops; null where no voice of this device does. */
export function reader(text) {
    if (!localVoices().length) return null;
    const act = button("sound", "Read aloud", () => {
        const isOn = act.getAttribute("aria-pressed") === "true";
        speaker.cancel();
        if (isOn) return;
        const said = new SpeechSynthesisUtterance(plain(text()));
        const voice = voiceFor(navigator.language);
        Object.assign(said, { voice, lang: voice.lang });
        const mark = (is) => act.setAttribute("aria-pressed", String(is));
        said.addEventListener("end", () => mark(false));
        said.addEventListener("error", () => mark(false));
        speaker.speak(said);
        mark(true);
    });
    act.classList.add("free");
    act.setAttribute("aria-pressed", "false");
    return act;
}

/** Markdown without its marks, as far as a voice would say them. */
const plain = (text) =>
    text
        .replaceAll(/```[^\n]*\n?/g, "")
        .replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
        .replaceAll(/[*_`#>|]+/g, "");

/** Show the button for voice input if this device recognises speech by itself. `insert` takes what was said. */
export async function voiceInput(insert) {
    const Recognition = globalThis.SpeechRecognition ?? globalThis.webkitSpeechRecognition;
    const langs = [navigator.language];
    const state = await Recognition?.available?.({ langs, processLocally: true }).catch(() => null);
    if (state !== "available") return;
    const act = byId("speak");
    let running = null;
    act.hidden = false;
    act.addEventListener("click", () => {
        if (running !== null) {
            running.stop();
            return;
        }
        running = Object.assign(new Recognition(), { lang: langs[0], processLocally: true, continuous: true });
        act.setAttribute("aria-pressed", "true");
        running.addEventListener("result", ({ results, resultIndex }) => {
            for (const result of [...results].slice(resultIndex))
                if (result.isFinal) insert(result[0].transcript.trim());
        });
        running.addEventListener("end", () => {
            running = null;
            act.setAttribute("aria-pressed", "false");
        });
        running.start();
    });
}
