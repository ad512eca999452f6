// Creates elements: text is always inserted as text, attributes are never scripts. Knows nothing of the page.

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
    copy: ["M9 9h10v11H9z", "M5 15V4h10"],
    again: ["M19 12a7 7 0 1 1-2-5", "M19 3v5h-5"],
    edit: ["M4 20h4L19 9l-4-4L4 16z"],
    twin: ["M4 8h16", "M4 16h16"],
    done: ["M5 12.5l4.5 4.5L19 7.5"],
    left: ["M14 6l-6 6 6 6"],
    right: ["M10 6l6 6-6 6"],
    close: ["M6 6l12 12", "M18 6L6 18"],
    sound: ["M4 10v4h4l5 4V6L8 10z", "M16 9a4 4 0 0 1 0 6", "M18.5 6.5a8 8 0 0 1 0 11"],
    bars: ["M5 20V10", "M12 20V4", "M19 20v-7"],
    code: ["M9 7l-5 5 5 5", "M15 7l5 5-5 5"],
    save: ["M12 4v11", "M7 10l5 5 5-5", "M5 20h14"],
    remove: ["M5 7h14", "M9 7V4h6v3", "M7 7l1 13h8l1-13"],
};

/** Return the element with an id; throw if index.html lacks it. */
export function byId(id) {
    const found = document.getElementById(id);
    if (found === null) throw new Error(`index.html has no #${id}`);
    return found;
}

/** Make an element; `on` holds its listeners. */
export function make(tag, { on = {}, ...attributes } = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (value !== null && value !== undefined && value !== false)
            element.setAttribute(name, value === true ? "" : value);
    }
    for (const [type, listener] of Object.entries(on)) element.addEventListener(type, listener);
    element.append(...children.filter((child) => child !== null));
    return element;
}

export function svg(tag, attributes = {}, ...children) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
}

export function icon(name) {
    const paths = ICONS[name].map((d) => svg("path", { d }));
    return svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, ...paths);
}

/** The logo of two bars, with the host's bar lit. */
export function mark(host) {
    const bar = (name, y) => svg("rect", { class: `bar-${name}`, x: 3, y, width: 18, height: 4.5, rx: 1 });
    return svg(
        "svg",
        { class: "mark", "data-host": host, viewBox: "0 0 24 24", "aria-hidden": "true" },
        bar("tab", 6),
        bar("native", 13.5),
    );
}

/** A button with an icon and a label. */
export function button(name, label, act, attributes = {}) {
    return make(
        "button",
        { type: "button", class: "act", on: { click: act }, ...attributes },
        icon(name),
        make("span", {}, label),
    );
}

/** A button that copies what `text` returns, and confirms it. */
export function copier(text, what = "Copy") {
    const word = make("span", {}, what);
    const press = async () => {
        try {
            await navigator.clipboard.writeText(text());
            word.textContent = "Copied";
        } catch (error) {
            word.textContent = `Not copied: ${error.message}`;
        }
        setTimeout(() => (word.textContent = what), 1500);
    };
    return make("button", { type: "button", class: "act copy", on: { click: press } }, icon("copy"), word);
}

/** Limit a listener to one call per frame, with the last arguments. */
export function everyFrame(act) {
    let waiting = null;
    return (...args) => {
        if (waiting === null) {
            requestAnimationFrame(() => {
                const last = waiting;
                waiting = null;
                act(...last);
            });
        }
        waiting = args;
    };
}
