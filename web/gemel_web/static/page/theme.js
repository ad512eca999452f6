// Sets the theme that a visitor chose before anything is painted: the one script here that is no module, since those
// run after the first paint. settings.js checks what is stored; here all but two words is ignored.
try {
    const { theme } = JSON.parse(localStorage.getItem("gemel-page") ?? "{}");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
    // no storage, or no JSON: the system's theme
}
