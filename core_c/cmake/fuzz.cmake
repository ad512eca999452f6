# Each tests/fuzz/fuzz_<x>.c becomes a libFuzzer program fuzz_<x> over the core of checks.cmake; `fuzzers` builds them all.
set(fuzz_dir "${project_dir}/tests/fuzz")
add_custom_target(fuzzers)
file(GLOB fuzz_files CONFIGURE_DEPENDS "${fuzz_dir}/fuzz_*.c")
foreach(fuzz_file IN LISTS fuzz_files)
    get_filename_component(fuzz "${fuzz_file}" NAME_WE)
    add_executable(${fuzz} "${fuzz_file}")
    target_link_libraries(${fuzz} PRIVATE gemel_core)
    target_link_options(${fuzz} PRIVATE -fsanitize=fuzzer)
    add_dependencies(fuzzers ${fuzz})
endforeach()

# Kernels have few branches, and under UBSan they compile four times as long; check_kernels runs them under it.
set_property(SOURCE ${row_sources} APPEND PROPERTY COMPILE_OPTIONS -fno-sanitize=fuzzer-no-link,undefined)
