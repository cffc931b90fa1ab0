// tstreamsd: serves a store to clients on this machine and others.
#include "server/endpoints.hpp"
#include "server/options.hpp"

#include <tstreams/error.hpp>

#include <malloc.h>
#include <sys/resource.h>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>

namespace {

enum exit_code { done = 0, failed = 1, usage = 2 };

int refuse(const std::string& what) {
    std::fprintf(stderr, "tstreamsd: %s\n", what.c_str());
    return usage;
}

// Frames of a megabyte come and go all the time. By its defaults the allocator gives the memory of each back to the
// system and takes it anew, page by page.
void keep_freed_memory() {
    constexpr int kept_bytes = 32 << 20;  // of each of the two threads through which frames go, at most
    ::mallopt(M_MMAP_THRESHOLD, kept_bytes);
    ::mallopt(M_TRIM_THRESHOLD, kept_bytes);
}

}  // namespace

int main(int argc, char** argv) {
    namespace server = tstreams::server;
    keep_freed_memory();
    server::invocation call;
    try {
        call = server::parse(argc, argv);
        if (!call.print.empty()) {
            std::fputs(call.print.c_str(), stdout);
            return std::fflush(stdout) == 0 ? done : failed;
        }
        server::check(call.options);
        if (call.check_only) return done;
        if (call.default_listen) server::make_default_directory();
    } catch (const server::usage_error& failure) {
        return refuse(failure.what());
    } catch (const tstreams::error& failure) {
        return refuse(failure.what());
    }
    // Keys are not to be found in a dump.
    const rlimit none{0, 0};
    if (!call.options.key_file.empty() && ::setrlimit(RLIMIT_CORE, &none) != 0)
        return refuse("core dumps cannot be turned off");
    const server::event_log log = call.options.log;
    try {
        server::run_daemon(std::move(call.options));
    } catch (const std::exception& failure) {
        log.say(server::log_level::error, "failed", {{"reason", failure.what()}});
        return failed;
    }
    return done;
}
