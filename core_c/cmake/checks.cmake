# Each tests/c/check_<x>.c becomes a program check_<x> that sees the core's internal headers; `checks` builds them all.
# check_fma reads the disassembly of every object of the core.
add_library(gemel_core STATIC $<TARGET_OBJECTS:gemel_objects>)
target_include_directories(gemel_core PUBLIC include src)
target_link_libraries(gemel_core PUBLIC gemel_objects)
target_compile_definitions(gemel_core INTERFACE ${row_definitions})

set(checks_dir "${project_dir}/tests/c")
add_custom_target(checks)
file(GLOB check_files CONFIGURE_DEPENDS "${checks_dir}/check_*.c")
foreach(check_file IN LISTS check_files)
    get_filename_component(check "${check_file}" NAME_WE)
    add_executable(${check} "${check_file}")
    target_include_directories(${check} PRIVATE "${checks_dir}")
    target_link_libraries(${check} PRIVATE gemel_core)
    add_dependencies(checks ${check})
endforeach()

find_program(GEMEL_OBJDUMP NAMES objdump llvm-objdump)
find_package(Python3 COMPONENTS Interpreter)
if(GEMEL_OBJDUMP AND Python3_FOUND)
    add_custom_target(check_fma
        COMMAND "${Python3_EXECUTABLE}" "${CMAKE_CURRENT_LIST_DIR}/check_fma.py" --objdump "${GEMEL_OBJDUMP}"
            $<TARGET_OBJECTS:gemel_objects>
        COMMAND_EXPAND_LISTS VERBATIM)
    add_dependencies(check_fma gemel_objects)
else()
    message(STATUS "check_fma left out: it needs objdump and Python")
endif()
