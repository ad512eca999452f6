# Toolchain file: cross-compile with the zig of the pinned ziglang wheel.
#   cmake -S core_c -B build/x -DCMAKE_TOOLCHAIN_FILE=$PWD/core_c/cmake/zig.cmake \
#         -DGEMEL_ZIG=<zig> -DGEMEL_ZIG_TARGET=<target>
# Targets: those of native/build/platforms.py, wasm32-wasi (a Pyodide side module), wasm32-freestanding and
# wasm64-freestanding (the threaded engine).
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES GEMEL_ZIG GEMEL_ZIG_TARGET)
if(NOT GEMEL_ZIG OR NOT GEMEL_ZIG_TARGET)
    message(FATAL_ERROR "zig.cmake needs -DGEMEL_ZIG=<path of zig> and -DGEMEL_ZIG_TARGET=<target>")
endif()
string(REGEX REPLACE "-.*" "" CMAKE_SYSTEM_PROCESSOR "${GEMEL_ZIG_TARGET}")

# zig compiles for the machine it runs on unless told otherwise.
set(zig_cpu baseline)
if(GEMEL_ZIG_TARGET MATCHES "linux")
    set(CMAKE_SYSTEM_NAME Linux)
elseif(GEMEL_ZIG_TARGET MATCHES "windows")
    set(CMAKE_SYSTEM_NAME Windows)
    set(CMAKE_SHARED_LINKER_FLAGS_INIT -s)   # else a hash of debug information, which names folders, is in the library
elseif(GEMEL_ZIG_TARGET MATCHES "macos")
    set(CMAKE_SYSTEM_NAME Darwin)
elseif(GEMEL_ZIG_TARGET STREQUAL "wasm32-wasi")
    set(CMAKE_SYSTEM_NAME Generic)
    set(zig_cpu generic+bulk_memory+mutable_globals+sign_ext)
    set(CMAKE_SHARED_LIBRARY_SUFFIX .so)
    string(CONCAT CMAKE_C_CREATE_SHARED_LIBRARY "\"${GEMEL_ZIG}\" wasm-ld --experimental-pic -shared --no-entry "
        "--unresolved-symbols=import-dynamic --import-memory --import-table --export-dynamic --strip-all "
        "<OBJECTS> -o <TARGET>")
elseif(GEMEL_ZIG_TARGET MATCHES "^wasm(32|64)-freestanding$")
    set(engine_target "${GEMEL_ZIG_TARGET}")
    include("${CMAKE_CURRENT_LIST_DIR}/engine.cmake")
    set(zig_cpu generic+atomics+bulk_memory+mutable_globals+sign_ext)
    set(CMAKE_C_CREATE_SHARED_LIBRARY "\"${GEMEL_ZIG}\" wasm-ld ${engine_link}")
else()
    message(FATAL_ERROR "zig.cmake does not know the target ${GEMEL_ZIG_TARGET}")
endif()

set(CMAKE_C_COMPILER "${GEMEL_ZIG}" cc -target ${GEMEL_ZIG_TARGET} -mcpu=${zig_cpu} -g0)   # zig adds -g
set(CMAKE_C_ARCHIVE_CREATE "\"${GEMEL_ZIG}\" ar qc <TARGET> <OBJECTS>")
set(CMAKE_C_ARCHIVE_APPEND "\"${GEMEL_ZIG}\" ar q <TARGET> <OBJECTS>")
set(CMAKE_C_ARCHIVE_FINISH "\"${GEMEL_ZIG}\" ranlib <TARGET>")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
