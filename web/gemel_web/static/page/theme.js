// Sets the visitor's theme, and opens the drawer, before the first paint. This is the only script here that is not a
// module, because modules run later. settings.js checks the stored values; here any value except light and dark, and any
// except true, is ignored.
try {
    const { theme, drawer } = JSON.parse(localStorage.getItem("gemel-page") ?? "{}");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    if (drawer === true) document.documentElement.dataset.drawer = "open";
} catch {
    // no storage, or invalid JSON: the system's theme
}
