import type { Gemel } from "./gemel.js";

export interface RelayOptions {
    /** Whether the page answers requests now; default: while a model is loaded. */
    serves?: () => boolean;
}

/** A page's part of the service worker's work. */
export interface Relay {
    /** Requests to v1/* reach the page from now on, or why they can't. Never settles where the page is loaded anew. */
    readonly ready: Promise<{ relays: boolean; why: string | null }>;
    /** Whether the site works offline, once that is known; why it can't be copied as it is now. */
    readonly offline: Promise<{ complete: boolean; why: string | null }>;
}

/** Let the service worker beside this module hand requests to v1/* to the page's model. */
export function connect(gemel: Gemel, options?: RelayOptions): Relay;
