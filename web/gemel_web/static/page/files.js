// Text files that belong to a question: what is a text, and how the model reads it. Knows nothing of the page.

export const LARGEST = 256_000; // bytes of a file
export const MOST = 10; // files of a question
const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Read a file: {name, text}. An Error says why it can't be attached. */
export async function readText(file) {
    const { name, size } = file;
    if (size > LARGEST)
        throw new Error(`${name} has ${Math.ceil(size / 1000)} kB: at most ${LARGEST / 1000} kB can be attached`);
    let text;
    try {
        text = utf8.decode(await file.arrayBuffer());
    } catch (error) {
        if (error instanceof TypeError) throw new Error(`${name} is not a text file (its bytes are not UTF-8)`);
        throw new Error(`${name} could not be read: ${error.message}`); // a folder, or a file that is gone
    }
    if (text.includes("\0")) throw new Error(`${name} is not a text file`);
    if (!text.trim()) throw new Error(`${name} is empty`);
    return { name, text };
}

/** Whether a file is a model's: by its name, or by how it begins. */
export async function isGguf(file) {
    if (/\.gguf$/i.test(file.name)) return true;
    const begin = await file
        .slice(0, 4)
        .text()
        .catch(() => ""); // a folder
    return begin === "GGUF";
}

/** A file as the model reads it. */
export function blockOf({ name, text }) {
    const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
    const fence = "`".repeat(longest + 1);
    return `File ${name}:\n${fence}\n${text.replace(/\n$/, "")}\n${fence}`;
}

/** A question with its files, as the model reads it. */
export const contentOf = (question, files) => [question, ...files.map(blockOf)].join("\n\n");

/** Stored files; none if they are damaged. */
export function storedFiles(given) {
    const isFile = (one) => typeof one?.name === "string" && typeof one.text === "string" && one.text.length <= LARGEST;
    const isGood = Array.isArray(given) && given.length <= MOST && given.every(isFile);
    return isGood ? given.map(({ name, text }) => ({ name, text })) : [];
}
