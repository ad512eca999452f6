// The page's worker. In a visitor's browser in which this tab has answered before, it starts at once, while the page's
// other files are still read.
import { Gemel } from "../gemel.js";

export const gemel = new Gemel();

try {
    const { host } = JSON.parse(localStorage.getItem("gemel-page") ?? "{}");
    const hasAnswered = localStorage.getItem("gemel-speeds") !== null;
    if (self.crossOriginIsolated && hasAnswered && host !== "native") gemel.cache.list().catch(() => {}); // asked again
} catch {
    // no storage
}
