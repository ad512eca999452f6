// Conversations in this browser: an IndexedDB database of the page's origin. Nothing of it is sent anywhere. What can't
// be stored is reported, never thrown away silently: a full disk, a browser that denies storage.

const NAME = "gemel-conversations";
const VERSION = 1;
const [HEADS, BODIES] = ["heads", "bodies"]; // {id, title, created, changed, questions}, {id, nodes}

/** A request of IndexedDB as a promise. */
const done = (request) =>
    new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });

export class Store {
    #opening = null;

    #open() {
        this.#opening ??= new Promise((resolve, reject) => {
            const request = indexedDB.open(NAME, VERSION); // throws where a page may not store anything
            request.onupgradeneeded = () => {
                request.result.createObjectStore(HEADS, { keyPath: "id" });
                request.result.createObjectStore(BODIES, { keyPath: "id" });
            };
            request.onsuccess = () => {
                const database = request.result;
                const forget = () => (this.#opening = null);
                database.onclose = forget;
                database.onversionchange = () => {
                    database.close();
                    forget();
                };
                resolve(database);
            };
            request.onerror = () => reject(request.error);
            request.onblocked = () => reject(new Error("another tab holds an older version: close it"));
        }).catch((error) => {
            this.#opening = null;
            throw error;
        });
        return this.#opening;
    }

    /** Run `act(heads, bodies)` in a transaction; resolves with what it returns when all is stored. */
    async #within(mode, act) {
        const transaction = (await this.#open()).transaction([HEADS, BODIES], mode);
        const ended = new Promise((resolve, reject) => {
            transaction.oncomplete = resolve;
            transaction.onabort = () => reject(transaction.error ?? new Error("the browser ended the transaction"));
        });
        const [value] = await Promise.all([
            act(transaction.objectStore(HEADS), transaction.objectStore(BODIES)),
            ended,
        ]);
        return value;
    }

    /** The conversations without their texts, the last one first. */
    async list() {
        const heads = await this.#within("readonly", (one) => done(one.getAll()));
        return heads.sort((a, b) => b.changed - a.changed);
    }

    /** A conversation, or null. */
    async get(id) {
        const [head, body] = await this.#within("readonly", (heads, bodies) =>
            Promise.all([done(heads.get(id)), done(bodies.get(id))]),
        );
        return head && body ? { ...head, nodes: body.nodes } : null;
    }

    /** Store a conversation, unless another tab has stored it since it had the stamp `known`; return whether it is. */
    async put({ nodes, ...head }, known) {
        return this.#within("readwrite", async (heads, bodies) => {
            const there = await done(heads.get(head.id));
            if (there !== undefined && known !== undefined && (there.stamp ?? null) !== known) return false;
            await Promise.all([done(heads.put(head)), done(bodies.put({ id: head.id, nodes }))]);
            return true;
        });
    }

    async rename(id, title) {
        await this.#within("readwrite", async (heads) => {
            const head = await done(heads.get(id));
            if (head) await done(heads.put({ ...head, title, isNamed: true }));
        });
    }

    async delete(id) {
        await this.#within("readwrite", (heads, bodies) =>
            Promise.all([done(heads.delete(id)), done(bodies.delete(id))]),
        );
    }

    /** The ids of conversations in whose questions or answers every word occurs. */
    async search(words) {
        const found = new Set();
        const seek = (bodies) =>
            new Promise((resolve, reject) => {
                const request = bodies.openCursor();
                request.onerror = () => reject(request.error);
                request.onsuccess = () => {
                    const cursor = request.result;
                    if (cursor === null) return resolve();
                    const text = textOf(cursor.value.nodes);
                    if (words.every((word) => text.includes(word))) found.add(cursor.value.id);
                    cursor.continue();
                };
            });
        await this.#within("readonly", (_, bodies) => seek(bodies));
        return found;
    }
}

const textOf = (nodes) =>
    nodes
        .flatMap(({ question, answer }) => [question, answer?.text ?? ""])
        .join("\n")
        .toLowerCase();
