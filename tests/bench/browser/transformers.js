// transformers.js in a worker, as its documentation advises, so that it does not block the page.
import { inWorker } from "./worker.js";

export const { start, open, generate, embed } = inWorker("transformers_worker.js");
