# Programs of libFuzzer, which comes with clang: built and run for 10 s as a test where clang is, whatever compiles the
# rest. `NAME CORPUS` by itself goes on for ever.
if(TSTREAMS_FUZZ)
    find_program(TSTREAMS_FUZZ_COMPILER NAMES clang++-19 clang++)
endif()

# fuzz_program(NAME program TEST name SOURCES file... HEADERS file... [OPTIONS what the compiler is told]): the headers
# are those that it is made anew for. The corpus is the folder `corpus` beside the caller.
function(fuzz_program)
    cmake_parse_arguments(PARSE_ARGV 0 FUZZ "" "NAME;TEST" "SOURCES;HEADERS;OPTIONS")
    if(NOT TSTREAMS_FUZZ_COMPILER)
        return()
    endif()
    set(program ${CMAKE_CURRENT_BINARY_DIR}/${FUZZ_NAME})
    add_custom_command(
        OUTPUT ${program}
        COMMAND ${TSTREAMS_FUZZ_COMPILER} -std=c++20 -O1 -g -fsanitize=fuzzer,address,undefined
                -fno-sanitize-recover=all -I ${PROJECT_SOURCE_DIR}/include -I ${PROJECT_SOURCE_DIR}/src
                ${FUZZ_SOURCES} ${FUZZ_OPTIONS} -o ${program}
        DEPENDS ${FUZZ_SOURCES} ${FUZZ_HEADERS}
        VERBATIM)
    add_custom_target(build_${FUZZ_NAME} ALL DEPENDS ${program})
    # What it finds worth keeping goes to the build directory; the kept corpus is only read.
    set(found ${CMAKE_CURRENT_BINARY_DIR}/corpus)
    file(MAKE_DIRECTORY ${found})
    add_test(NAME ${FUZZ_TEST} COMMAND ${program} -max_total_time=10 -max_len=1024 -print_final_stats=1 ${found}
                                       ${CMAKE_CURRENT_SOURCE_DIR}/corpus)
    set_tests_properties(${FUZZ_TEST} PROPERTIES LABELS integration TIMEOUT 120
                         WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
endfunction()
