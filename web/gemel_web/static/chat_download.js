// What a question of <gemel-chat> will download, as far as a page can tell before it does.

const KEPT = "gemel-chat-kept"; // in localStorage: addresses of models that were downloaded and kept

/** The sizes of a download in bytes: {model, size, program}; size null: unknown. null: there is nothing to download. */
export async function downloadOf(model, base) {
    if (typeof model !== "string" && !(model instanceof URL)) return null; // a file, or bytes
    const address = addressOf(model);
    if (kept().includes(address)) return null;
    const [size, program] = await Promise.all([sizeOf(address), programSize(base)]);
    return size === undefined ? null : { model, size, program };
}

/** Note that a model is in this browser. */
export function keep(model) {
    if (typeof model !== "string" && !(model instanceof URL)) return;
    try {
        localStorage.setItem(KEPT, JSON.stringify([...new Set([...kept(), addressOf(model)])]));
    } catch {
        // no storage: the visitor is asked again
    }
}

function kept() {
    try {
        const found = JSON.parse(localStorage.getItem(KEPT) ?? "[]");
        return Array.isArray(found) ? found : [];
    } catch {
        return [];
    }
}

/** An address as gemel.js reads it: relative to the page if it has a slash or is a file's name. Others stay. */
function addressOf(model) {
    const text = String(model).trim();
    const isRelative = !/^[a-z][a-z\d+.-]*:/i.test(text) && (text.includes("/") || /\.gguf([?#].*)?$/is.test(text));
    try {
        return isRelative ? new URL(text, document.baseURI).href : text;
    } catch {
        return text;
    }
}

/** Bytes of a file; null: unknown; undefined: it can't be had, which the load reports. */
async function sizeOf(address) {
    if (!/^https?:/i.test(address)) return null; // a short name, or a repository's: found while it loads
    try {
        const answer = await fetch(address, { method: "HEAD" });
        const size = Number(answer.headers.get("Content-Length"));
        if (!answer.ok) return undefined;
        return size > 0 ? size : null;
    } catch {
        return undefined;
    }
}

async function programSize(base) {
    try {
        const { pyodide, wheels } = await (await fetch(new URL("assets.json", base))).json();
        const needed = [...pyodide, ...wheels.filter(({ group }) => group === "tab")];
        return needed.reduce((sum, { size }) => sum + size, 0);
    } catch {
        return 0; // the load reports it
    }
}
