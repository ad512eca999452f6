// A model's context: how large it is, how much of it an answer may take by default, and what a larger one costs.

const UNKNOWN = 4096; // tokens
const [LEAST, MOST] = [64, 2048]; // tokens of an answer
const MOST_REASONED = 8192;

/** The tokens that prompt and answer may have together, or null. Only the tab's can be set here. */
export function contextOf(host, settings) {
    const asked = host.name === "tab" ? settings.get("n_ctx") : null;
    return asked ?? host.info?.default_n_ctx ?? null;
}

/** The default limit of an answer: a quarter of the context, half of it for a model that reasons first. */
export function limitOf(host, settings) {
    const context = contextOf(host, settings) ?? UNKNOWN;
    const reasons = Boolean(host.info?.reasoning);
    const share = reasons ? Math.min(MOST_REASONED, context / 2) : Math.min(MOST, context / 4);
    return Math.max(LEAST, Math.floor(share));
}

/** A larger context that the tab's model can have: {n_ctx, bytes} more, or null. */
export function largerOf(host, settings) {
    const now = contextOf(host, settings);
    if (host.name !== "tab" || !host.isLoaded || now === null || now >= host.info.n_ctx) return null;
    const n_ctx = Math.min(host.info.n_ctx, 2 * now);
    return { n_ctx, bytes: (n_ctx - now) * host.info.kv_size };
}
