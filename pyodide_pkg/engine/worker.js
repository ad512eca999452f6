// A compute worker of the threaded engine: another instance of the core's module on the shared memory. It gets its seat
// and stack, posts "parked", and then stays in the core, where thread pools give it work.
"use strict";

/** @param {{data: {module: WebAssembly.Module, memory: WebAssembly.Memory, seat: number,
 *   stack: number | bigint}}} event */
self.onmessage = async ({ data: { module, memory, seat, stack } }) => {
    let core;
    try {
        const now = () => performance.now();
        core = (await WebAssembly.instantiate(module, { env: { memory, now } })).exports;
        core.__stack_pointer.value = stack;
        core.gemel_engine_arrive(seat);
    } catch (error) {
        self.postMessage(String(error));
        return;
    }
    self.postMessage("parked");
    try {
        core.gemel_engine_work(seat);
    } catch (error) {
        core.gemel_engine_failed();
        console.error("gemel: a compute worker failed:", error);
    }
};
