// webpack bundles main.js; the page and the files that the worker loads are served beside the bundle.
export default {
    mode: "production",
    entry: "./main.js",
    experiments: { outputModule: true },
    output: { filename: "main.js", module: true },
    performance: { hints: false },
};
