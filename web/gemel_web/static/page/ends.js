// Why an answer ended before it was complete, in the words that the page shows and stores.
export const STOPPED = "stopped";
export const LIMIT = "stopped at the answer limit";
export const FULL = "the context is full";
export const LOOP = "stopped: it repeated itself";
export const BROKEN = "broken off";

/** Why an answer is not complete, or "". */
export function whyEnded({ stop_reason: reason, usage }, { max_tokens: limit }) {
    if (reason === "cancelled") return STOPPED;
    if (reason !== "length") return "";
    return usage.completion_tokens === limit ? LIMIT : FULL;
}
