// Keeps Python's memory as it is when gemel has been imported, in the origin's private file system: a later start reads it
// and need not run Python's own start and gemel's imports, which take seconds. The file's name is a hash of all that is
// in that memory: other files of gemel or Python, another browser, or a page with other rights make their own.

const FOLDER = "gemel-start";
const FORMAT = 1; // of what start_maker.js does and this file writes
const HEAD = 32; // bytes before the memory: its SHA-256
const NEEDS = 200e6; // bytes of quota that must be free
const LEAST = 4; // GiB of a device that keeps a start: to make it, Python starts a second time

const folder = async (options) => (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, options);
const hashOf = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
const isSame = (one, other) => one.every((byte, i) => byte === other[i]);

/** Name what a start depends on: Python's files and gemel's by their hashes, and this browser. */
export async function versionOf({ assets, program }) {
    const all = [FORMAT, assets.pyodide, assets.wheels, program, navigator.userAgent, self.crossOriginIsolated];
    const hash = await hashOf(new TextEncoder().encode(JSON.stringify(all)));
    return [...hash.subarray(0, 16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Read the kept start of a version; null where there is none, where it is damaged, and where files can't be kept. */
export async function keptStart(version) {
    try {
        const [place, name] = [await folder(), await version];
        const bytes = new Uint8Array(await (await (await place.getFileHandle(name)).getFile()).arrayBuffer());
        const memory = bytes.subarray(HEAD);
        if (isSame(await hashOf(memory), bytes)) return memory;
        await place.removeEntry(name); // fails, as it should, while another tab writes it
    } catch {
        // a first visit, or no private file system
    }
    return null;
}

/** Whether this device has room for a start that it has not kept yet. */
export async function wantsStart(version) {
    if (self.origin === "null" || (navigator.deviceMemory ?? LEAST) < LEAST) return false;
    const { quota, usage } = await navigator.storage.estimate();
    return quota - usage > NEEDS && (await keptStart(version)) === null;
}

/** Keep a start, and delete those of other versions. One tab at a time. */
export async function keepStart(version, memory) {
    const hash = await hashOf(memory);
    await navigator.locks.request(FOLDER, async () => {
        const place = await folder({ create: true });
        for await (const name of place.keys()) await place.removeEntry(name);
        const handle = await (await place.getFileHandle(version, { create: true })).createSyncAccessHandle();
        try {
            handle.write(hash, { at: 0 });
            handle.write(memory, { at: HEAD });
            handle.flush();
        } finally {
            handle.close();
        }
    });
}

/** Delete all kept starts: Python could not use one. */
export async function forgetStarts() {
    await (await navigator.storage.getDirectory()).removeEntry(FOLDER, { recursive: true }).catch(() => {}); // none
}
