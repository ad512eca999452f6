// What a question of <gemel-chat> will download, as far as a page can tell before it does.

const KEPT = "gemel-chat-kept"; // in localStorage: addresses of models that were downloaded and kept

/**
 * The sizes of a download in bytes: {model, size, program}. model: the first that is downloaded; size: of the model
 * and of what drafts; null: unknown. null: there is nothing to download.
 */
export async function downloadOf(model, draft, base) {
    const missing = addressesOf(model, draft).filter((address) => !kept().includes(address));
    if (!missing.length) return null;
    const [program, ...sizes] = await Promise.all([programSize(base), ...missing.map(sizeOf)]);
    if (sizes.includes(undefined)) return null;
    const size = sizes.includes(null) ? null : sizes.reduce((sum, one) => sum + one, 0);
    return { model: missing[0], size, program };
}

/** Note that models are in this browser. */
export function keep(...models) {
    try {
        localStorage.setItem(KEPT, JSON.stringify([...new Set([...kept(), ...addressesOf(...models)])]));
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

/** Those of models that are not files or bytes, which need no download. */
function addressesOf(...models) {
    return models.filter((model) => typeof model === "string" || model instanceof URL).map(addressOf);
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
