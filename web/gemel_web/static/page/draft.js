// What is typed and not sent yet, per conversation: it survives a reload. Drafts of private conversations do not.

const KEY = "gemel-drafts";
const MOST = 20; // drafts
const LONGEST = 50_000; // characters of one

function read() {
    try {
        const found = JSON.parse(localStorage.getItem(KEY) ?? "[]");
        return Array.isArray(found) ? found.filter((one) => one?.length === 2 && one.every(isText)) : [];
    } catch {
        return []; // damaged, or no storage
    }
}

const isText = (value) => typeof value === "string";

/** The draft of a conversation, or "". */
export const draftOf = (id) => read().find(([one]) => one === id)?.[1] ?? "";

/** Store a draft; "" deletes it. */
export function keepDraft(id, text) {
    const others = read().filter(([one]) => one !== id);
    const all = text ? [[id, text.slice(0, LONGEST)], ...others].slice(0, MOST) : others;
    try {
        if (all.length) localStorage.setItem(KEY, JSON.stringify(all));
        else localStorage.removeItem(KEY);
    } catch {
        // no storage: a reload loses the draft
    }
}
