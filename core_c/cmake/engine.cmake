# The threaded engine of a tab, for zig.cmake, emcc.cmake and clang.cmake: targets wasm32-freestanding and
# wasm64-freestanding. One module on shared memory that the host imports into each of its workers; libc is the core's own
# (src/wasm), since no toolchain has one for all of these. The first stack lies below the data, so that overflowing it
# traps. Sets engine_flags, for a plain clang, and engine_link.
string(REGEX REPLACE "-.*" "" CMAKE_SYSTEM_PROCESSOR "${engine_target}")
set(GEMEL_ENGINE ON)
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SHARED_LIBRARY_SUFFIX .so)
set(engine_max 4294967296)
set(engine_machine "")
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "wasm64")
    set(engine_max 17179869184)
    set(engine_machine "-mwasm64")
endif()
set(engine_flags --target=${CMAKE_SYSTEM_PROCESSOR}-unknown-unknown
    -matomics -mbulk-memory -mmutable-globals -msign-ext -nostdlibinc)
# --initial-memory is INITIAL_PAGES of gemel/tab/engine.py
string(CONCAT engine_link "${engine_machine} --no-entry --import-memory --shared-memory --initial-memory=4194304 "
    "--max-memory=${engine_max} --stack-first -z stack-size=262144 --gc-sections --strip-all "
    "--export-dynamic --export=__stack_pointer --export=malloc --export=calloc --export=free --export=memcpy "
    "<OBJECTS> -o <TARGET>")
include_directories(SYSTEM "${CMAKE_CURRENT_LIST_DIR}/../src/wasm/include")
