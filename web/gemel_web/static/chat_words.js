// What <gemel-chat> says to a visitor: why there is no answer, and what a question will download. What only the page's
// author can repair is for the console and the event `error`.
import { mb } from "./words.js";

const AGAIN = "Send your question again to try once more.";
const UNABLE = "This browser can’t run the model. Another browser, or a newer one, may.";
const MEMORY = "This device has too little free memory for the model. Close other tabs, and send your question again.";
const WORDS = {
    ContextError: "This conversation is too long for the model. A shorter question may fit.",
    SourceError: `The model could not be downloaded. Check your connection. ${AGAIN}`,
    OutOfMemoryError: MEMORY,
    MemoryError: MEMORY,
    WorkerError: `The model stopped. ${AGAIN}`,
    LibraryError: UNABLE,
    EngineError: UNABLE,
    ThreadError: UNABLE,
};

/** An error in a visitor's words. */
export const plainly = (error) =>
    WORDS[error?.name] ?? "This chat can’t answer at the moment: something on the page has to be corrected first.";

/** A model's name for a visitor: the end of its address. */
function nameOf(model) {
    const text = String(model?.name ?? model).split(/[?#]/)[0];
    return text
        .split("/")
        .at(-1)
        .replace(/\.gguf$/i, "");
}

/** What a question will download. @param {{model: unknown, size: number | null, program: number}} download  in bytes */
export function offerOf({ model, size, program }) {
    const parts = [`the model ${nameOf(model)} (${size === null ? "its size is not known yet" : `${mb(size)} MB`})`];
    if (program) parts.push(`the program that runs it (${mb(program)} MB)`);
    return `To answer, this page downloads ${parts.join(" and ")}, once, and then keeps it in this browser. Nothing you type leaves this device.`;
}
