// The column with figures and Python: closed for newcomers, and as the visitor left it afterwards. On a narrow page its
// parts open as sheets instead (sheets.js).
import { byId } from "./dom.js";

/** @param {import("./settings.js").Settings} settings */
export function drawer(settings) {
    const act = byId("open-beside");
    const show = () => {
        const isOpen = settings.get("drawer");
        document.documentElement.dataset.drawer = isOpen ? "open" : "closed";
        act.setAttribute("aria-expanded", String(isOpen));
    };
    act.addEventListener("click", () => settings.set("drawer", !settings.get("drawer")));
    settings.addEventListener("change", show);
    show();
}
