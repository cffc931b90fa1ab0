# What `cmake --install` puts where: headers, libraries, the package config and the pkg-config file.
include(CMakePackageConfigHelpers)

set(tstreams_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tstreams)

install(DIRECTORY include/tstreams include/weave DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.hpp" PATTERN "*.def")
install(TARGETS weave tstreams EXPORT tstreams_targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(EXPORT tstreams_targets NAMESPACE tstreams:: DESTINATION ${tstreams_package_dir}
        FILE tstreams-targets.cmake)

configure_package_config_file(cmake/tstreams-config.cmake.in ${PROJECT_BINARY_DIR}/tstreams-config.cmake
                              INSTALL_DESTINATION ${tstreams_package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/tstreams-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/tstreams-config.cmake ${PROJECT_BINARY_DIR}/tstreams-config-version.cmake
        DESTINATION ${tstreams_package_dir})

# A static library does not know what it needs, so its users are told.
set(tstreams_needs "-lweave -lisal -pthread")
if(TSTREAMS_WITH_LOCAL)
    string(PREPEND tstreams_needs "-lrocksdb ")
endif()
if(BUILD_SHARED_LIBS)
    set(tstreams_pc_libs "-lweave")
    set(tstreams_pc_libs_private "${tstreams_needs}")
else()
    set(tstreams_pc_libs "${tstreams_needs}")
    set(tstreams_pc_libs_private "")
endif()
file(RELATIVE_PATH tstreams_pc_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(cmake/tstreams.pc.in ${PROJECT_BINARY_DIR}/tstreams.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/tstreams.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
