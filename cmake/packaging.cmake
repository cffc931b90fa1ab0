# What goes to an operator: manual pages and completions, written from --help of what was built; the systemd unit; and
# the Debian packages: tstreams (tool, daemon, unit) and libtstreams-dev (headers and libraries of T-streams, Moebius
# and weave).
find_package(Python3 REQUIRED COMPONENTS Interpreter)

set(from_help ${PROJECT_SOURCE_DIR}/packaging/from_help)
set(help_directory ${PROJECT_BINARY_DIR}/packaging)
file(MAKE_DIRECTORY ${help_directory})

# written_from_help(TARGET FILE KIND [TEMPLATE]): FILE is what from_help writes for the program of TARGET.
function(written_from_help target file kind)
    add_custom_command(OUTPUT ${help_directory}/${file}
        COMMAND Python3::Interpreter -B ${from_help} ${kind} $<TARGET_FILE:${target}> ${ARGN}
                > ${help_directory}/${file}
        DEPENDS ${target} ${from_help} ${ARGN}
        VERBATIM)
endfunction()

function(install_help target name section)
    written_from_help(${target} ${name}.${section} manual ${PROJECT_SOURCE_DIR}/packaging/man/${name}.${section}.in)
    written_from_help(${target} ${name}.bash bash)
    written_from_help(${target} _${name} zsh)
    written_from_help(${target} ${name}.fish fish)
    set(written ${help_directory}/${name}.${section} ${help_directory}/${name}.bash ${help_directory}/_${name}
                ${help_directory}/${name}.fish)
    add_custom_target(${name}_help ALL DEPENDS ${written})
    add_dependencies(tstreams_installed ${name}_help)
    install(FILES ${help_directory}/${name}.${section} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section}
            COMPONENT runtime)
    install(FILES ${help_directory}/${name}.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
            RENAME ${name} COMPONENT runtime)
    install(FILES ${help_directory}/_${name} DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions
            COMPONENT runtime)
    install(FILES ${help_directory}/${name}.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d
            COMPONENT runtime)
endfunction()

if(TARGET tstreams_cli)
    install_help(tstreams_cli tstreams 1)
endif()
if(TARGET tstreamsd)
    install_help(tstreamsd tstreamsd 8)
    # The unit holds whole paths, and `cmake --install --prefix` says late which. With the prefix /usr, what a machine's
    # administrator changes is in /etc.
    install(CODE "
        set(bindir \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")
        set(sysconfdir \"\${CMAKE_INSTALL_PREFIX}/etc\")
        if(CMAKE_INSTALL_PREFIX STREQUAL \"/usr\")
            set(sysconfdir /etc)
        endif()
        set(unit \"\${CMAKE_INSTALL_PREFIX}/lib/systemd/system/tstreamsd.service\")
        configure_file(\"${PROJECT_SOURCE_DIR}/packaging/tstreamsd.service.in\" \"\$ENV{DESTDIR}\${unit}\" @ONLY)
        list(APPEND CMAKE_INSTALL_MANIFEST_FILES \"\${unit}\")
        file(INSTALL \"${PROJECT_SOURCE_DIR}/packaging/tstreams.sysusers\"
             DESTINATION \"\${CMAKE_INSTALL_PREFIX}/lib/sysusers.d\" RENAME tstreams.conf)
        if(NOT EXISTS \"\$ENV{DESTDIR}\${sysconfdir}/default/tstreamsd\")
            file(INSTALL \"${PROJECT_SOURCE_DIR}/packaging/tstreamsd.default\"
                 DESTINATION \"\${sysconfdir}/default\" RENAME tstreamsd)
        endif()"
        COMPONENT runtime)
endif()

set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)  # what is installed is built by tstreams_installed
set(CPACK_GENERATOR DEB)
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "The T-streams project <tstreams@localhost>")
set(CPACK_COMPONENTS_ALL runtime dev)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME tstreams)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION net)
set(CPACK_DEBIAN_RUNTIME_DESCRIPTION "The tool and the daemon.
 Streams that are written and read exactly once, in batches of any size that
 become visible as a whole or not at all. The tool tstreams works on a
 directory, or on what the daemon tstreamsd serves on this machine and others.")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_DEPENDS "passwd")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA
    ${PROJECT_SOURCE_DIR}/packaging/debian/postinst ${PROJECT_SOURCE_DIR}/packaging/debian/prerm
    ${PROJECT_SOURCE_DIR}/packaging/debian/postrm ${PROJECT_SOURCE_DIR}/packaging/debian/conffiles)
set(CPACK_DEBIAN_DEV_PACKAGE_NAME libtstreams-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_DEV_DESCRIPTION "The C++20 library.
 Headers, static libraries, and files for CMake and pkg-config of T-streams,
 of the ZeroMQ server framework Moebius, and of their coroutines, weave.")
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "libboost1.81-dev, libzmq3-dev, librocksdb-dev, libisal-dev")
include(CPack)
