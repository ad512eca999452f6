import type { Gemel } from "./gemel.js";

export interface RelayOptions {
    /** Whether the page answers requests now. Default: while a model is loaded. */
    serves?: (() => boolean) | null;
}

/** A page's connection to the service worker. */
export interface Relay {
    /** Whether requests to v1/* reach the page from now on, and why not. Never settles if the page reloads. */
    readonly ready: Promise<{ relays: boolean; why: string | null }>;
    /** Whether the site works offline, and why the current site could not be saved. */
    readonly offline: Promise<{ complete: boolean; why: string | null }>;
}

/** Make the service worker next to this module pass requests to v1/* to the page's model. */
export function connect(gemel: Gemel, options?: RelayOptions | null): Relay;
