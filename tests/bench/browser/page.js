// One tab with one engine. The engine is a module ENGINE.js next to this one (?engine=), which exports
//   start(options)               start the runtime: everything that does not need the model
//   open(url, options)           load a model
//   generate(prompt, n, onToken) exactly n tokens, greedy; calls onToken as each arrives; returns facts about the run
//   embed(texts)                 a row of numbers for each text
// All times are measured in this page: what a visitor would see.
const query = new URLSearchParams(location.search);
const options = JSON.parse(query.get("options") ?? "{}");
const engine = await import(`./${query.get("engine")}.js`);

/** Generate; return milliseconds from the call to the first and the last token, and the engine's own figures. */
async function run(prompt, n) {
    const arrivals = [];
    const called = performance.now();
    const own = await engine.generate(prompt, n, () => arrivals.push(performance.now()));
    if (!arrivals.length) throw new Error("no token arrived");
    return { first: arrivals[0] - called, last: arrivals.at(-1) - called, arrivals: arrivals.length, own };
}

/** What a click does: load the model and show the first token. Milliseconds; `at` counts from the navigation. */
async function click(url, prompt) {
    const called = performance.now();
    const facts = await engine.open(url, { ...options, prompt: options.ahead ? prompt : undefined });
    const opened = performance.now();
    const { first, own } = await run(prompt, 1);
    const at = opened + first;
    return { open: opened - called, first, click: at - called, at, clock: performance.timeOrigin + at, own, facts };
}

/** Load an encoder. */
const open = (url) => engine.open(url, options);

/** Embed texts; return milliseconds and the first `n` rows. */
async function embed(texts, n) {
    const called = performance.now();
    const rows = await engine.embed(texts);
    return { ms: performance.now() - called, rows: rows.slice(0, n).map((row) => [...row]) };
}

async function start() {
    const called = performance.now();
    await engine.start(options);
    return performance.now() - called;
}

globalThis.bench = {
    start,
    click,
    run,
    open,
    embed,
    memory: async () => (await performance.measureUserAgentSpecificMemory()).bytes,
    isolated: crossOriginIsolated,
};
// ?url=&prompt=: go from the navigation to the first token without a click
if (query.has("url")) {
    globalThis.bench.done = (async () => ({
        start: await start(),
        ...(await click(query.get("url"), query.get("prompt"))),
    }))();
    globalThis.bench.done.catch(() => {});
}
