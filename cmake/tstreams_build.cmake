# How every target of this project is compiled, and the one call per test program.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

# Compiles `target` as this project's code: C++20 without extensions, strict warnings, sanitizers when asked for.
function(tstreams_compile target)
    target_compile_features(${target} PUBLIC cxx_std_20)
    set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
    target_compile_options(${target} PRIVATE
        -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor)
    if(TSTREAMS_HARDEN)
        target_compile_options(${target} PRIVATE
            -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -D_GLIBCXX_ASSERTIONS -fstack-protector-strong
            -fstack-clash-protection -ftrivial-auto-var-init=zero)
        if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
            target_compile_options(${target} PRIVATE -fcf-protection=full)
        endif()
        target_link_options(${target} PRIVATE -pie -Wl,-z,relro,-z,now,-z,noexecstack)
    endif()
    if(TSTREAMS_SANITIZE)
        target_compile_options(${target} PRIVATE -fsanitize=${TSTREAMS_SANITIZE} -fno-omit-frame-pointer)
        target_link_options(${target} PUBLIC -fsanitize=${TSTREAMS_SANITIZE})
    endif()
endfunction()

# A layer of the library: objects that end up in libtstreams.
function(tstreams_layer target)
    add_library(${target} OBJECT ${ARGN})
    target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src
                                                ${PROJECT_SOURCE_DIR})
    tstreams_compile(${target})
endfunction()

if(TSTREAMS_BUILD_TESTS)
    enable_testing()
    find_package(GTest REQUIRED)
    add_custom_target(unit_tests COMMENT "The test programs with the label unit")
endif()

# tstreams_test(NAME name SOURCES file... [LIBRARIES target...] [LABEL unit] [TIMEOUT seconds] [ARGS arg...])
# One GoogleTest program, one ctest entry. The label `unit` means: the whole program takes seconds.
function(tstreams_test)
    cmake_parse_arguments(T "" "NAME;LABEL;TIMEOUT" "SOURCES;LIBRARIES;ARGS" ${ARGN})
    if(NOT TSTREAMS_BUILD_TESTS)
        return()
    endif()
    if(NOT T_LABEL)
        set(T_LABEL unit)
    endif()
    if(NOT T_TIMEOUT)
        set(T_TIMEOUT 120)
    endif()
    add_executable(${T_NAME} ${T_SOURCES})
    tstreams_compile(${T_NAME})
    target_include_directories(${T_NAME} PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(${T_NAME} PRIVATE ${T_LIBRARIES} GTest::gtest_main Threads::Threads)
    if(T_LABEL STREQUAL unit)
        add_dependencies(unit_tests ${T_NAME})
    endif()
    add_test(NAME ${T_NAME} COMMAND ${T_NAME} ${T_ARGS})
    set_tests_properties(${T_NAME} PROPERTIES LABELS ${T_LABEL} TIMEOUT ${T_TIMEOUT})
endfunction()
