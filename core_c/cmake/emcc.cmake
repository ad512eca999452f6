# Toolchain file: compile the core with Emscripten's emcc.
#   cmake -S core_c -B build/x -DCMAKE_TOOLCHAIN_FILE=$PWD/core_c/cmake/emcc.cmake -DGEMEL_EMCC=<emcc> \
#         -DGEMEL_EMCC_TARGET=<target>
# Targets: wasm32-wasi (a Pyodide side module, by the name that zig.cmake has for it); wasm32-freestanding and
# wasm64-freestanding (the threaded engine), by the clang and wasm-ld that Emscripten brings. No library of Emscripten's
# own is linked, so that its cache stays empty: a side module takes libc from Pyodide.
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES GEMEL_EMCC GEMEL_EMCC_TARGET)
if(NOT GEMEL_EMCC OR NOT GEMEL_EMCC_TARGET)
    message(FATAL_ERROR "emcc.cmake needs -DGEMEL_EMCC=<path of emcc> and -DGEMEL_EMCC_TARGET=<target>")
endif()
if(GEMEL_EMCC_TARGET MATCHES "^wasm(32|64)-freestanding$")
    get_filename_component(emscripten "${GEMEL_EMCC}" DIRECTORY)
    execute_process(COMMAND "${emscripten}/em-config" LLVM_ROOT
        OUTPUT_VARIABLE llvm OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
    file(GLOB clangs "${llvm}/clang" "${llvm}/clang-[0-9][0-9]")   # a distribution's has its version in the name
    list(GET clangs 0 GEMEL_CLANG)
    set(GEMEL_CLANG_TARGET "${GEMEL_EMCC_TARGET}")
    include("${CMAKE_CURRENT_LIST_DIR}/clang.cmake")
    return()
endif()
if(NOT GEMEL_EMCC_TARGET STREQUAL "wasm32-wasi")
    message(FATAL_ERROR "emcc.cmake does not know the target ${GEMEL_EMCC_TARGET}")
endif()
get_filename_component(emscripten "${GEMEL_EMCC}" DIRECTORY)

set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR wasm32)
set(CMAKE_C_COMPILER "${GEMEL_EMCC}" -g0)
set(CMAKE_AR "${emscripten}/emar")
set(CMAKE_RANLIB "${emscripten}/emranlib")
# Asking the compiler for its name would link an executable, and build a libc for it.
set(CMAKE_C_COMPILER_ID Clang)
set(CMAKE_C_COMPILER_ID_RUN TRUE)
set(CMAKE_C_COMPILER_FORCED TRUE)
set(CMAKE_SHARED_LIBRARY_SUFFIX .so)
# -O1: Binaryen would change the order of instructions, in which kernels are fast, and make code that the wheel can't
# compress together with the other modules'.
string(CONCAT CMAKE_C_CREATE_SHARED_LIBRARY "<CMAKE_C_COMPILER> -O1 -sSIDE_MODULE=2 -sWASM_BIGINT -fwasm-exceptions "
    "-sSUPPORT_LONGJMP=wasm -Wl,--experimental-pic <OBJECTS> -o <TARGET>")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
