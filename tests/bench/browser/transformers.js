// transformers.js in a worker, as its documentation advises, so that the page is not frozen while it computes.
import { inWorker } from "./worker.js";

export const { start, open, generate } = inWorker("transformers_worker.js");
