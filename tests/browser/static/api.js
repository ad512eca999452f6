// Imports gemel's module ?module= as window.api for the tests.
window.api = await import(new URLSearchParams(location.search).get("module"));
window.read = async (generation) => {
    const pieces = [];
    for await (const piece of generation) pieces.push(piece);
    return { pieces, result: await generation.result };
};
window.caught = (promise) =>
    Promise.resolve(promise).then(
        () => ["no error", ""],
        (error) => [error.name, error.message, error.traceback ?? ""],
    );
document.querySelector("main").dataset.ready = "";
