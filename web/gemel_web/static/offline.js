// Stores a complete copy of the site in Cache Storage. sw.js answers from it if the network fails. A copy has one
// version, the hash of its files' hashes; it is used once it is complete, and then older copies are deleted. Files that
// an older copy already has are not downloaded again, and an interrupted copy is continued.

const FOLDER = new URL(".", import.meta.url);
const COPY = `gemel-site ${FOLDER.pathname} `; // as in sw.js
const COPIED = "Gemel-Copy"; // header of answers that sw.js takes from a copy
const WHOLE = "whole.json"; // in a copy: {version, files}, stored last
const MADE = ["assets.json", "LICENCES.txt"]; // by make assets
const OPTIONAL = ["config.json"];
const LATER = 3000; // milliseconds that a page has to start before the site's files are compared with its copy
const addressOf = (name) => new URL(name, FOLDER).href;
const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const hashOf = async (bytes) => hex(await crypto.subtle.digest("SHA-256", bytes));

/**
 * Copy the current site, unless there is a copy.
 * @returns {Promise<{complete: boolean, why: string | null}>}  whether the site works offline, and why a copy failed
 */
export async function keep() {
    try {
        if (!self.caches || !navigator.locks) throw new Error("this browser has no Cache Storage or no Web Locks");
        await navigator.locks.request(COPY, copy); // one tab at a time
        return { complete: true, why: null };
    } catch (error) {
        const old = await newest().catch(() => null);
        return { complete: old !== null, why: `the current site could not be saved: ${error.message}` };
    }
}

async function copy() {
    if (await newest()) await new Promise((resolve) => setTimeout(resolve, LATER));
    const [files, offline] = await listed();
    if (offline) return;
    const lines = files.map(({ name, sha256 }) => `${sha256}  ${name}\n`).sort();
    const version = await hashOf(new TextEncoder().encode(lines.join("")));
    const made = await caches.open(COPY + version);
    if (!(await made.match(addressOf(WHOLE)))) {
        const old = await newest();
        for (const file of files) await put(made, file, old);
        const named = Object.fromEntries(files.map(({ name, sha256 }) => [name, sha256]));
        await made.put(addressOf(WHOLE), Response.json({ version, files: named }));
    }
    const others = (await caches.keys()).filter((name) => name.startsWith(COPY) && name !== COPY + version);
    await Promise.all(others.map((name) => caches.delete(name)));
}

/** All files of the site as [{name, sha256, answer}, ...], and whether any came from a copy. answer: if it was read. */
async function listed() {
    const answers = new Map();
    const read = async (name) => {
        const answer = await get(name);
        answers.set(name, answer);
        return answer;
    };
    const { files: own } = await (await read("site.json")).clone().json();
    await Promise.all(OPTIONAL.map((name) => read(name).catch(() => null)));
    await Promise.all([...own, ...MADE].map(read));
    const assets = await answers.get("assets.json").clone().json();
    const names = ["site.json", ...own, ...MADE, ...OPTIONAL.filter((name) => answers.has(name))];
    const files = names.map(async (name) => {
        const answer = answers.get(name);
        return { name, answer, sha256: await hashOf(await answer.clone().arrayBuffer()) };
    });
    const offline = [...answers.values()].some((answer) => answer.headers.has(COPIED));
    return [[...(await Promise.all(files)), ...Object.values(assets).flat()], offline];
}

async function get(name) {
    const answer = await fetch(addressOf(name), { cache: "no-cache" });
    if (!answer.ok) throw new Error(`${addressOf(name)}: the server answers ${answer.status}`);
    return answer;
}

/** Store a file in a copy: from an older copy, the answer that was read, or the server. */
async function put(made, { name, sha256, answer }, old) {
    const address = addressOf(name);
    if (await made.match(address)) return;
    const same = old?.files[name] === sha256 ? await old.cache.match(address) : undefined;
    await made.put(address, same ?? answer ?? (await getOnly(name, sha256)));
}

/** Fetch a file, and check its hash. */
async function getOnly(name, sha256) {
    const answer = await get(name);
    if ((await hashOf(await answer.clone().arrayBuffer())) === sha256) return answer;
    throw new Error(`${addressOf(name)} is not the file that assets.json names`);
}

/** The newest complete copy: {cache, files: {name: sha256}}, or null. */
async function newest() {
    for (const name of (await caches.keys()).reverse()) {
        if (!name.startsWith(COPY)) continue;
        const cache = await caches.open(name);
        const whole = await cache.match(addressOf(WHOLE));
        if (whole) return { cache, files: (await whole.json()).files };
    }
    return null;
}
