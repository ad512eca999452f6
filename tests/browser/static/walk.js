// Uses gemel's page in a frame: asks, runs Python, calls the OpenAI API, continues without a server, deletes the model.
// Reports what it saw to ?report=, so that the test only has to open an address in a browser: under remote control,
// Firefox may hang in `new Worker` inside a worker.
const REPORT = new URL(location).searchParams.get("report");
const SETTINGS = { temperature: 0, max_tokens: 24 };
const frame = document.querySelector("iframe");
const found = { said: [] }; // the page's console messages
const find = (selector) => frame.contentDocument.querySelector(selector);
const shown = (selector) => find(selector)?.innerText ?? "";

/** Report to the test, and wait for its answer. */
const report = async (what, value = null) =>
    (await fetch(REPORT, { method: "POST", body: JSON.stringify([what, value]) })).text();

async function until(what, test) {
    for (let due = performance.now() + 60_000; performance.now() < due; ) {
        if (test()) return;
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`timed out after 60 s: ${what}. The page shows: ${shown("body")}`);
}

/** Load the page, or reload it. */
async function visit() {
    const loaded = new Promise((resolve) => (frame.onload = resolve));
    if (frame.hasAttribute("src")) frame.contentWindow.location.reload();
    else frame.src = "./";
    await loaded;
    const page = frame.contentWindow;
    for (const kind of ["error", "warn"]) page.console[kind] = (...words) => found.said.push(words.join(" "));
    page.addEventListener("error", ({ message }) => found.said.push(message));
    page.addEventListener("unhandledrejection", ({ reason }) => found.said.push(String(reason)));
    await until("the page is ready", () => page.document.documentElement.dataset.ready !== undefined);
}

async function ask(text) {
    const field = find("textarea");
    field.value = text;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.form.requestSubmit();
    await until("an answer", () => find("#stop").hidden && find(".turn:last-child .foot button"));
    return shown(".turn:last-child .text");
}

/** Ask the tab as an OpenAI client does. */
async function stream(text) {
    const messages = [{ role: "user", content: text }];
    const answer = await frame.contentWindow.fetch("v1/chat/completions", {
        method: "POST",
        headers: { "Content-Type": "application/json", "Gemel-Host": "tab" },
        body: JSON.stringify({ model: "tiny", messages, stream: true, ...SETTINGS }),
    });
    return [answer.headers.get("Gemel-Host"), await answer.text()];
}

async function walk() {
    await visit();
    await until("the site is kept", () => shown("#relay").includes("The site works offline."));
    localStorage.setItem("gemel-page", JSON.stringify(SETTINGS));
    await visit();
    found.answer = await ask("Hello");
    found.host = shown(".turn .badge");
    found.figures = shown("#figures");
    found.stream = await stream("Hello");
    find("#run").click();
    await until("the cell is done", () => shown("#cell-status").startsWith("Done"));
    found.output = shown("#output");
    await report("offline"); // the test ends the server
    await visit();
    await until("the conversation is back", () => shown(".turn:last-child .text") === found.answer);
    find("#new").click();
    await until("a new one begins", () => !find(".turn"));
    found.offline = await ask("Hello");
    find("#open-models").click();
    await until("the model is listed", () => find("#cached button.act"));
    find("#cached button.act").click();
    await until(
        "it is deleted",
        () => shown("#cached-help").includes(" was deleted: ") && shown("#cached-help").endsWith(" freed."),
    );
}

walk().then(
    () => report("done", found),
    (error) => report("failed", `${error}\n${error.stack}\n${found.said.join("\n")}`),
);
