// Describes the progress of a load in words, for <gemel-chat> and gemel's own page.

/** Format bytes as megabytes. */
export const mb = (bytes) => (bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0);

/** Describe the progress of a load in words. @param {import("./gemel.js").Progress} progress */
export function words({ stage, done, total, speed, left }) {
    if (stage === "offline") return "No network: this goes on when it is back";
    if (stage === "start" && !total) return "Starting";
    if (stage === "start" && done >= total) return "Starting Python";
    if (stage === "prefill") return `Reading the prompt: layer ${done} of ${total}`;
    const what = { start: "Starting Python:", download: "Downloading" }[stage] ?? "Loading";
    const rest = [];
    if (speed) rest.push(`${mb(speed)} MB/s`);
    if (left >= 90) rest.push(`${Math.ceil(left / 60)} min left`);
    else if (left >= 1) rest.push(`${Math.ceil(left)} s left`);
    return [`${what} ${mb(done)}${total ? ` of ${mb(total)}` : ""} MB`, ...rest].join(" · ");
}
