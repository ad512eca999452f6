// gemel in Pyodide in a worker.
import { inWorker } from "./worker.js";

export const { start, open, generate } = inWorker("gemel_worker.js");
