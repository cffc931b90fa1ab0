# What `cmake --install` puts where: headers, libraries, and per library a package config and a pkg-config file.
# weave is a package of its own, because both others need it.
include(CMakePackageConfigHelpers)

file(RELATIVE_PATH package_pc_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)

# install_package(NAME PUBLIC library... PRIVATE library...): the linker options beside the library itself that users
# of the shared library, and those of the static one as well, need.
function(install_package name)
    cmake_parse_arguments(P "" "DESCRIPTION" "PUBLIC;PRIVATE" ${ARGN})
    set(place ${CMAKE_INSTALL_LIBDIR}/cmake/${name})
    install(DIRECTORY include/${name} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
            COMPONENT dev FILES_MATCHING PATTERN "*.hpp" PATTERN "*.def")
    add_dependencies(tstreams_installed ${name})
    install(TARGETS ${name} EXPORT ${name}_targets
            ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev
            LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT dev
            RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime)
    install(EXPORT ${name}_targets NAMESPACE ${name}:: DESTINATION ${place} FILE ${name}-targets.cmake
            COMPONENT dev)
    configure_package_config_file(cmake/${name}-config.cmake.in ${PROJECT_BINARY_DIR}/${name}-config.cmake
                                  INSTALL_DESTINATION ${place})
    write_basic_package_version_file(${PROJECT_BINARY_DIR}/${name}-config-version.cmake
                                     COMPATIBILITY SameMinorVersion)
    install(FILES ${PROJECT_BINARY_DIR}/${name}-config.cmake ${PROJECT_BINARY_DIR}/${name}-config-version.cmake
            DESTINATION ${place} COMPONENT dev)

    # A static library does not know what it needs, so its users are told.
    set(package_name ${name})
    set(package_description ${P_DESCRIPTION})
    list(JOIN P_PUBLIC " " package_pc_libs)
    list(JOIN P_PRIVATE " " package_pc_libs_private)
    if(NOT BUILD_SHARED_LIBS)
        string(APPEND package_pc_libs " ${package_pc_libs_private}")
        set(package_pc_libs_private "")
    endif()
    configure_file(cmake/package.pc.in ${PROJECT_BINARY_DIR}/${name}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)
endfunction()

install_package(weave DESCRIPTION "Coroutines of T-streams and Moebius" PRIVATE -pthread)
if(MOEBIUS_BUILD)
    install_package(moebius DESCRIPTION "A light single-threaded ZeroMQ server framework"
                    PUBLIC -lweave PRIVATE -lzmq -pthread)
endif()
if(TSTREAMS_BUILD)
    set(tstreams_needs -lisal -pthread)
    if(TSTREAMS_WITH_LOCAL)
        list(PREPEND tstreams_needs -lrocksdb)
    endif()
    if(TSTREAMS_WITH_REMOTE)
        list(PREPEND tstreams_needs -lmoebius -lzmq)
    endif()
    install_package(tstreams DESCRIPTION "${PROJECT_DESCRIPTION}" PUBLIC -lweave PRIVATE ${tstreams_needs})
endif()
