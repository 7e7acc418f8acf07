# Flags and the few functions that the folders' lists are made of.

add_library(ouzel_flags INTERFACE)
target_include_directories(ouzel_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(ouzel_flags INTERFACE _GNU_SOURCE OUZEL_VERSION="${PROJECT_VERSION}")
target_compile_options(ouzel_flags INTERFACE
    -Wall -Wextra -Werror=return-type -Wshadow -Wpointer-arith
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>
    -fno-math-errno -ffp-contract=off -fvisibility=hidden)
if(OUZEL_FUZZ)
    # Everything is instrumented for libFuzzer; the fuzzers themselves link its driver.
    target_compile_options(ouzel_flags INTERFACE -fsanitize=fuzzer-no-link,address,undefined
        -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(ouzel_flags INTERFACE -fsanitize=address,undefined)
elseif(OUZEL_SANITIZE)
    target_compile_options(ouzel_flags INTERFACE -fsanitize=${OUZEL_SANITIZE} -fno-omit-frame-pointer
        -fno-sanitize-recover=all)
    target_link_options(ouzel_flags INTERFACE -fsanitize=${OUZEL_SANITIZE})
    if(OUZEL_SANITIZE STREQUAL "thread")
        add_library(ouzel_thread_shim STATIC ${CMAKE_SOURCE_DIR}/tests/sanitizers/thread_shim.c)
        target_compile_options(ouzel_thread_shim PRIVATE -fsanitize=thread)
        target_link_options(ouzel_flags INTERFACE -Wl,--undefined=thrd_create)
        target_link_libraries(ouzel_flags INTERFACE ouzel_thread_shim)
    endif()
endif()

# oz_folder(NAME LIBRARIES...): one static library of every .c and .cc in this folder and below it.
function(oz_folder name)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
    list(FILTER sources EXCLUDE REGEX "/main\\.c$")
    add_library(oz_${name} STATIC ${sources})
    set_target_properties(oz_${name} PROPERTIES LINKER_LANGUAGE CXX)
    target_link_libraries(oz_${name} PUBLIC ouzel_flags ${ARGN})
endfunction()

# oz_unit_tests(FOLDER): every test_*.c here is one test program of the same name.
function(oz_unit_tests folder)
    file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/test_*.c)
    foreach(source ${tests})
        get_filename_component(name ${source} NAME_WE)
        add_executable(${name} ${source})
        set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
        target_link_libraries(${name} PRIVATE oz_${folder} PkgConfig::cmocka)
        add_test(NAME unit/${folder}/${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
        set_tests_properties(unit/${folder}/${name} PROPERTIES TIMEOUT 300
            LABELS "unit;sanitize" ENVIRONMENT "${OUZEL_SANITIZER_OPTIONS}")
    endforeach()
endfunction()

# Suppressions name libraries that are not instrumented, nothing of ours.
set(OUZEL_SANITIZER_OPTIONS
    "ASAN_OPTIONS=detect_stack_use_after_return=0"
    "LSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/sanitizers/lsan.supp:print_suppressions=0"
    "TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/sanitizers/tsan.supp:second_deadlock_stack=1:die_after_fork=0")
if(OUZEL_SANITIZE)
    # Sanitizers slow the long differential tests down ten times and more: fewer seeds do.
    list(APPEND OUZEL_SANITIZER_OPTIONS "OUZEL_SEEDS=300")
endif()
