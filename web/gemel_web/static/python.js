// Python in a worker: where its files are, how they are read, and how gemel is installed in it.

export const HERE = new URL(".", import.meta.url);
const PROGRAM = ["tab.py", "calls.py", "logs.py"]; // the modules of a package, gemel_tab
export const OPTIONS = {
    indexURL: new URL("pyodide/", HERE).href,
    env: { HOME: "/home/pyodide" },
    stdin: () => null, // end of input: a worker has no keyboard
};

/** Fetch a file next to this one; its bytes must have the hash in assets.json. */
export async function get(name, sha256) {
    const url = new URL(name, HERE).href;
    const integrity = sha256 === undefined ? "" : `sha256-${base64(sha256)}`;
    let answer;
    try {
        answer = await fetch(url, { integrity, cache: "no-cache" }); // revalidate: all files must have one version
    } catch (error) {
        throw new Error(`${url} can't be fetched, or is not the file that assets.json names (${error.message})`);
    }
    if (!answer.ok) throw new Error(`${url}: the server answers ${answer.status}`);
    return answer;
}

const base64 = (hex) => btoa(String.fromCharCode(...hex.match(/../g).map((pair) => parseInt(pair, 16))));

/** Fetch assets.json and the texts of the program. */
export async function listed() {
    const [assets, program] = await Promise.all([
        get("assets.json").then((answer) => answer.json()),
        Promise.all(PROGRAM.map(async (name) => (await get(name)).text())),
    ]);
    return { assets, program };
}

export const wheelsOf = ({ wheels }, group) => wheels.filter((wheel) => wheel.group === group);

/** Fetch the wheels of a group. */
export const fetchWheels = (assets, group) =>
    Promise.all(wheelsOf(assets, group).map(async ({ name, sha256 }) => (await get(name, sha256)).arrayBuffer()));

const siteOf = (py) => py.runPython("import sysconfig; sysconfig.get_path('purelib')");

export function unpack(py, wheels) {
    for (const wheel of wheels) py.unpackArchive(wheel, "whl", { extractDir: siteOf(py) });
}

/** Install wheels and the program. */
export function install(py, wheels, program) {
    unpack(py, wheels);
    py.FS.mkdir(`${siteOf(py)}/gemel_tab`);
    for (const [i, name] of PROGRAM.entries()) py.FS.writeFile(`${siteOf(py)}/gemel_tab/${name}`, program[i]);
}
