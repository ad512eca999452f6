# Toolchain file: compile the threaded engine with a clang of version 19 or later and its wasm-ld.
#   cmake -S core_c -B build/x -DCMAKE_TOOLCHAIN_FILE=$PWD/core_c/cmake/clang.cmake -DGEMEL_CLANG=<clang> \
#         -DGEMEL_CLANG_TARGET=<target>
# Targets: wasm32-freestanding, wasm64-freestanding (the threaded engine).
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES GEMEL_CLANG GEMEL_CLANG_TARGET)
if(NOT GEMEL_CLANG OR NOT GEMEL_CLANG_TARGET MATCHES "^wasm(32|64)-freestanding$")
    message(FATAL_ERROR "clang.cmake needs -DGEMEL_CLANG=<path of clang> and -DGEMEL_CLANG_TARGET=<target>")
endif()
set(engine_target "${GEMEL_CLANG_TARGET}")
include("${CMAKE_CURRENT_LIST_DIR}/engine.cmake")
file(REAL_PATH "${GEMEL_CLANG}" clang)
get_filename_component(llvm "${clang}" DIRECTORY)
set(CMAKE_C_COMPILER "${GEMEL_CLANG}" ${engine_flags} -g0)
set(CMAKE_AR "${llvm}/llvm-ar")
set(CMAKE_RANLIB "${llvm}/llvm-ranlib")
set(CMAKE_C_CREATE_SHARED_LIBRARY "\"${llvm}/wasm-ld\" ${engine_link}")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
