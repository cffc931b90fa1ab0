#include "cli/store_place.hpp"

#include "cli/encoding.hpp"
#include "cli/failure.hpp"

#include <pwd.h>
#include <unistd.h>
#include <cstdlib>
#include <filesystem>
#include <utility>

namespace tstreams::cli {

namespace {

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
}

// $XDG_DATA_HOME/tstreams; the specification says to ignore a relative path there.
std::filesystem::path data_directory() {
    const std::filesystem::path data = environment("XDG_DATA_HOME");
    if (data.is_absolute()) return data / "tstreams";
    std::filesystem::path home = environment("HOME");
    if (!home.is_absolute()) {
        const ::passwd* user = ::getpwuid(::getuid());
        home = user != nullptr && user->pw_dir != nullptr ? user->pw_dir : "";
    }
    if (!home.is_absolute())
        throw usage_error("no home directory to keep a store in: say where with --at file:DIRECTORY");
    return home / ".local" / "share" / "tstreams";
}

}  // namespace

store_place::store_place(std::optional<std::string> typed)
    : uri_(typed.value_or(environment("TSTREAMS_URI"))), typed_(typed.has_value()) {
    if (uri_.empty() && !typed_) uri_ = "file:" + data_directory().string();
}

std::string store_place::program() const {
    return typed_ ? "tstreams --at " + shell_word(uri_) : "tstreams";
}

client_options store_place::options() const {
    client_options chosen;
    // What the URI says counts more.
    if (uri_.starts_with("tcp:") || uri_.starts_with("ipc:")) {
        chosen.key_file = environment("TSTREAMS_KEY_FILE");
        chosen.server_key = environment("TSTREAMS_SERVER_KEY");
    }
    return chosen;
}

client store_place::open() const {
    client_options chosen = options();
    chosen.create = false;
    return client::open(uri_, std::move(chosen));
}

client store_place::open_or_create() const {
    return client::open(uri_, options());
}

}  // namespace tstreams::cli
