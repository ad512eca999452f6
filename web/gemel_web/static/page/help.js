// The help sheet: "?" opens it where nobody is typing. A site's links to its documentation and source come from its
// config.json.
import { byId, make } from "./dom.js";
import { dialog } from "./sheets.js";

const TYPES = "input, textarea, select, [contenteditable]";
const LABELS = { docs: "Documentation", source: "Source code" };

export function help() {
    const sheet = dialog("help", "open-help");
    byId("welcome-help").addEventListener("click", () => sheet.open_());
    document.addEventListener("keydown", (event) => {
        const types = event.target instanceof Element && event.target.closest(TYPES) !== null;
        if (event.key !== "?" || event.ctrlKey || event.metaKey || event.altKey || types) return;
        if (document.querySelector("dialog[open]") !== null) return;
        event.preventDefault();
        sheet.open_();
    });
}

/** Show the site's links: {docs, source}, of which each may be missing. Others are not shown. */
export function showLinks(links) {
    for (const [name, label] of Object.entries(LABELS)) {
        const address = links?.[name];
        if (typeof address !== "string" || !/^https:\/\//.test(address)) continue;
        for (const place of document.querySelectorAll(".links"))
            place.prepend(make("li", {}, make("a", { href: address, target: "_blank", rel: "noopener" }, label)));
    }
}
