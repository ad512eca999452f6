// Files that will go with the next question: dropped, pasted or picked, each folded, with a count of tokens.
import { byId, icon, make } from "./dom.js";
import { blockOf, MOST, readText } from "./files.js";
import { bytes, count } from "./format.js";

/** A file of a question, folded. `acts` come after it. */
export function fold(file, detail, ...acts) {
    const words = make("span", { class: "file-detail" }, detail);
    return make(
        "li",
        { class: "file" },
        make(
            "details",
            {},
            make("summary", {}, make("span", { class: "file-name" }, file.name), " ", words),
            make("pre", { tabindex: "0", role: "group", "aria-label": file.name, dir: "auto" }, file.text),
        ),
        ...acts,
    );
}

export const sizeOf = ({ text }) => bytes(new Blob([text]).size);

export class Attachments {
    #files = [];
    #list = byId("attachments");

    /** @param {object} page  {hosts}  @param {(words: string) => void} say  @param {() => void} changed */
    constructor(page, say, changed) {
        Object.assign(this, { page, say, changed });
        const input = byId("attach-file");
        byId("attach").addEventListener("click", () => input.click());
        input.addEventListener("change", async () => {
            await this.add([...input.files]);
            input.value = "";
            byId("question").focus();
        });
        byId("question").addEventListener("paste", (event) => {
            const files = [...(event.clipboardData?.files ?? [])];
            if (!files.length) return;
            event.preventDefault();
            this.add(files);
        });
    }

    get files() {
        return [...this.#files];
    }

    /** Attach files; what is no text, or too large, is refused with a reason. */
    async add(files) {
        const refused = [];
        for (const file of files) {
            try {
                if (this.#files.length >= MOST) throw new Error(`${file.name}: at most ${MOST} files can be attached`);
                this.#files = [...this.#files, await readText(file)];
            } catch (error) {
                refused.push(error.message);
            }
        }
        this.say(refused.join(". "));
        this.show();
        this.changed();
    }

    /** Set the files, such as none when they were sent. */
    set(files) {
        this.#files = [...files];
        this.show();
    }

    show() {
        this.#list.replaceChildren(...this.#files.map((file) => this.#row(file)));
        this.#list.hidden = this.#files.length === 0;
    }

    #row(file) {
        const remove = make(
            "button",
            { type: "button", class: "act", "aria-label": `Remove ${file.name}` },
            icon("close"),
        );
        const row = fold(file, sizeOf(file), remove);
        remove.addEventListener("click", () => {
            this.set(this.#files.filter((one) => one !== file));
            this.changed();
            byId("question").focus();
        });
        this.#count(file, row.querySelector(".file-detail"));
        return row;
    }

    /** Show the number of tokens in a file, once the model is known. */
    async #count(file, place) {
        const { current } = this.page.hosts;
        const of = (content) => current.count([{ role: "user", content }]).catch(() => null);
        const [all, least] = [await of(blockOf(file)), await of("a")];
        if (all !== null && least !== null) place.textContent = `${count(all - least + 1)} tokens`;
    }
}
