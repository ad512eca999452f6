// The dialog of kept conversations: open, search, rename, export, delete and undo, import.
import { button, byId, make } from "./dom.js";
import { download, fileName, fromFile, toJson, toMarkdown } from "./transcript.js";

const PACE = 150; // milliseconds that typing must pause before the texts are searched
const DATE = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });
const counted = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

export class ChatsPanel {
    #heads = [];
    #due = null;
    #asked = 0; // searches that have begun

    /** @param {object} page  {store, kept, open(id), fresh(options)} */
    constructor(page, dialog) {
        this.page = page;
        this.dialog = dialog;
        this.list = byId("chat-list");
        byId("chat-search").addEventListener("input", () => {
            clearTimeout(this.#due);
            this.#due = setTimeout(() => this.#filter(), PACE);
        });
        byId("chat-search").addEventListener("keydown", (event) => {
            if (event.key === "Enter") event.preventDefault();
        });
        byId("chat-private").addEventListener("click", () => {
            this.dialog.close();
            page.fresh({ isPrivate: true });
        });
        byId("chat-file").addEventListener("change", async () => {
            const files = [...byId("chat-file").files];
            byId("chat-file").value = "";
            await this.#import(files);
        });
        page.kept.onRenamed = (id, title) => this.#renamed(id, title);
    }

    /** Another tab has renamed a conversation: show it, unless it is being renamed here, too. */
    #renamed(id, title) {
        const head = this.#heads.find((one) => one.id === id);
        if (head === undefined) return;
        head.title = title;
        document.getElementById(`acts-${id}`)?.closest("li").replaceWith(this.#row(head));
    }

    #say(words) {
        byId("chat-help").textContent = words;
    }

    async show() {
        byId("chat-search").value = "";
        try {
            this.#heads = await this.page.store.list();
        } catch (error) {
            this.#heads = [];
            this.list.replaceChildren();
            this.#say(`This browser keeps no conversations for this page (${error.message}).`);
            return;
        }
        this.#draw(this.#heads);
        this.#say(
            this.#heads.length
                ? `${counted(this.#heads.length, "conversation")}, kept only in this browser.`
                : "Nothing yet. Conversations are kept only in this browser.",
        );
    }

    #draw(heads) {
        this.list.replaceChildren(...heads.map((head) => this.#row(head)));
    }

    async #filter() {
        const words = byId("chat-search").value.toLowerCase().split(/\s+/).filter(Boolean);
        const asked = ++this.#asked;
        if (!words.length) return this.show();
        const found = await this.page.store.search(words);
        if (asked !== this.#asked) return;
        const isIn = ({ id, title }) => found.has(id) || words.every((word) => title.toLowerCase().includes(word));
        const heads = this.#heads.filter(isIn);
        this.#draw(heads);
        this.#say(
            heads.length ? `${counted(heads.length, "conversation")} found.` : "No conversation has these words.",
        );
    }

    // ---- A row ------------------------------------------------------------------------------------------------------

    #row(head) {
        const { id, title, questions, changed } = head;
        const isOpen = this.page.kept.head?.id === id;
        const open = () => {
            this.dialog.close();
            this.page.open(id);
        };
        const pick = make(
            "button",
            { type: "button", class: "pick", "aria-pressed": String(isOpen), on: { click: open } },
            make("span", { class: "row-name", dir: "auto" }, title),
            make("span", { class: "row-detail" }, `${counted(questions, "question")}, ${DATE.format(changed)}`),
        );
        const acts = make(
            "div",
            { class: "row-acts", id: `acts-${id}`, hidden: true },
            button("edit", "Rename", () => this.#rename(row, head)),
            button("save", "Markdown", () => this.#export(id, "md", toMarkdown, "text/markdown")),
            button("save", "JSON", () => this.#export(id, "json", toJson, "application/json")),
            button("remove", "Delete", () => this.#delete(row, head)),
        );
        const toggle = () => {
            acts.hidden = !acts.hidden;
            more.setAttribute("aria-expanded", String(!acts.hidden));
        };
        const more = make(
            "button",
            {
                type: "button",
                class: "act",
                "aria-expanded": "false",
                "aria-controls": acts.id,
                on: { click: toggle },
            },
            make("span", {}, "More", make("span", { class: "hidden" }, ` for ${title}`)),
        );
        const row = make("li", { class: "chat" }, pick, more, acts);
        return row;
    }

    #rename(row, head) {
        const input = make("input", { type: "text", class: "rename", "aria-label": "Title", maxlength: 200 });
        input.value = head.title;
        const end = (focus) => {
            const fresh = this.#row(head);
            row.replaceWith(fresh);
            if (focus) fresh.querySelector(".pick").focus();
        };
        const save = async (focus) => {
            const title = input.value.trim();
            if (title && title !== head.title) {
                await this.page.store.rename(head.id, title);
                this.page.kept.renamed(head.id, title);
                head.title = title;
            }
            end(focus);
        };
        input.addEventListener("keydown", (event) => {
            if (event.key !== "Enter" && event.key !== "Escape") return;
            event.preventDefault(); // Escape would close the dialog
            event.stopPropagation();
            input.onblur = null;
            if (event.key === "Enter") save(true);
            else end(true);
        });
        input.onblur = () => save(false);
        row.replaceChildren(input);
        input.focus();
        input.select();
    }

    async #export(id, ending, write, type) {
        const record = await this.page.store.get(id);
        if (record !== null) download(`${fileName(record.title)}.${ending}`, write(record), type);
    }

    async #delete(row, head) {
        const wasOpen = this.page.kept.head?.id === head.id;
        const record = await this.page.kept.delete(head.id);
        if (wasOpen) this.page.fresh();
        this.#heads = this.#heads.filter((one) => one !== head);
        const undo = button("again", "Undo", async () => {
            await this.page.kept.restore(record);
            this.#heads = [...this.#heads, head].sort((a, b) => b.changed - a.changed);
            const fresh = this.#row(head);
            row.replaceWith(fresh);
            fresh.querySelector(".pick").focus();
            if (wasOpen) this.page.open(head.id);
        });
        row.replaceChildren(make("span", { class: "pick gone" }, `“${head.title}” was deleted.`), undo);
        undo.focus();
    }

    // ---- Files ------------------------------------------------------------------------------------------------------

    async #import(files) {
        const wrong = [];
        for (const file of files) {
            try {
                await this.page.kept.import(await fromFile(file));
            } catch (error) {
                wrong.push(error.message);
            }
        }
        await this.show();
        const many = files.length - wrong.length;
        this.#say([...(many ? [`${counted(many, "conversation")} imported.`] : []), ...wrong].join(" "));
    }
}
