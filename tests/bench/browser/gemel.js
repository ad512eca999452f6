// gemel in Pyodide in a worker.
import { inWorker } from "./worker.js";

export const { start, open, generate, embed } = inWorker("gemel_worker.js");
