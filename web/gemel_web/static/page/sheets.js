// Dialogs, and the panels that are beside the conversation on a wide page and in a sheet on a narrow one.
import { byId } from "./dom.js";

const WIDE = "(min-width: 64rem)"; // as in page.css

/** Open a dialog by a button; close it by its close button, by Escape and by a click outside. */
export function dialog(id, opener, show = () => {}) {
    const element = byId(id);
    const open = () => {
        show();
        element.showModal();
    };
    byId(opener).addEventListener("click", open);
    element.querySelector(".close").addEventListener("click", () => element.close());
    element.addEventListener("click", (event) => {
        if (event.target === element) element.close();
    });
    return Object.assign(element, { open_: open });
}

/** Figures and Python are in the aside; a narrow page shows one of them in the sheet. */
export function sheets() {
    const sheet = byId("sheet");
    const beside = byId("beside");
    const sections = [byId("figures"), byId("cell")];
    const home = () => beside.append(...sections);
    for (const section of sections) {
        byId(`open-${section.id}`).addEventListener("click", () => {
            byId("sheet-title").textContent = section.querySelector("h2").textContent;
            byId("sheet-body").replaceChildren(section);
            sheet.showModal();
        });
    }
    sheet.querySelector(".close").addEventListener("click", () => sheet.close());
    sheet.addEventListener("click", (event) => {
        if (event.target === sheet) sheet.close();
    });
    sheet.addEventListener("close", home);
    matchMedia(WIDE).addEventListener("change", () => sheet.close());
}
