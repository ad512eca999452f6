// What an error means for a visitor, and the developer's words for those who want them.
import { make } from "./dom.js";
import { capital, ended } from "./format.js";

const MEMORY =
    "This device doesn’t have enough free memory for this model. Close other tabs, or choose a smaller model.";
const ENGINE = "The model’s engine stopped working. Try again; if that does not help, reload the page.";
const BROKEN_FILE = "This file is damaged, or is not a model.";

const ENGINES = ["LibraryError", "EngineError", "WorkerError", "ThreadError"];

/** By the error's class: what a visitor reads. Other errors speak for themselves. */
const WORDS = {
    SourceError: "The model could not be downloaded. Check its address and your network connection.",
    FormatError: BROKEN_FILE,
    NumericError: BROKEN_FILE,
    UnsupportedError: "gemel does not support this kind of model yet.",
    TemplateError:
        "This model’s chat template does not work. It may be a model that continues texts, not one for chat.",
    OutOfMemoryError: MEMORY,
    MemoryError: MEMORY,
    LibraryError: ENGINE,
    EngineError: ENGINE,
    WorkerError: ENGINE,
    ThreadError: ENGINE,
    ServerError: "The native server could not answer.",
};

/** Return {words, detail}: a sentence, and the developer's message or "". */
export function explained(error) {
    const message = ended(capital(error.message || error.name));
    const words = ENGINES.includes(error.name) && /memory/i.test(message) ? MEMORY : WORDS[error.name];
    return words === undefined ? { words: message, detail: "" } : { words, detail: message };
}

/** The developer's message, folded; null if there is none. */
export function details(detail) {
    if (!detail) return null;
    return make("details", { class: "details" }, make("summary", {}, "Details"), make("p", {}, detail));
}
