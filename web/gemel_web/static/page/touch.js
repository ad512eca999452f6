// On a screen keyboard Enter makes a new line, and only a touch gives a text field the focus: it raises the
// keyboard over half the page.
const COARSE = matchMedia("(hover: none) and (pointer: coarse)");

export const isTouch = () => COARSE.matches;

/** Whether this key press sends a text. */
export const sends = (event) => event.key === "Enter" && !event.shiftKey && !event.isComposing && !isTouch();

/** Focus a text field where that raises no keyboard. */
export function focusField(field) {
    if (!isTouch()) field.focus({ preventScroll: true });
}

/** Say on the screen keyboard's key what Enter does. */
export function labelEnter(field) {
    const label = () => field.setAttribute("enterkeyhint", isTouch() ? "enter" : "send");
    label();
    COARSE.addEventListener("change", label);
}
