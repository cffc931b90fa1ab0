#include "engines/local/directory.hpp"

#include <tstreams/error.hpp>

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <string_view>

namespace tstreams::local {
namespace {

constexpr std::string_view format_magic = "tstreams-local-store\nversion ";
constexpr unsigned format_version = 1;

// Whether a store was here: the mark is written behind FORMAT, and by nobody else.
bool has_mark(const disk& files, const store_paths& paths) {
    return files.exists(paths.mark()) && files.exists(paths.log());
}

[[noreturn]] void throw_format_lost(const store_paths& paths, const std::string& how) {
    throw error(errc::corrupt, paths.format() + " is " + how +
                                   ", but the rest of a store is there; nothing was changed; restore the store from " +
                                   "a copy");
}

void check_format(const disk& files, const std::string& text, const store_paths& paths) {
    const auto refuse = [&] {
        if (has_mark(files, paths)) throw_format_lost(paths, "damaged");
        throw error(errc::not_a_store, paths.format() + " is not the file of a store: choose another directory");
    };
    if (!text.starts_with(format_magic)) refuse();
    unsigned version = 0;
    const char* digits = text.data() + format_magic.size();
    const auto parsed = std::from_chars(digits, text.data() + text.size(), version);
    if (parsed.ec != std::errc() || version == 0) refuse();
    if (version > format_version)
        throw error(errc::format_newer, "the store in " + paths.root + " has format " + std::to_string(version) +
                                            "; this program knows formats up to " + std::to_string(format_version) +
                                            ": use a newer one");
}

// Whether what is there can come from a making that was interrupted: then nothing was ever committed.
bool is_leftover(const disk& files, const store_paths& paths, const std::string& name) {
    if (name == "LOCK" || name == "FORMAT.new") return true;
    return name == "log" && files.list(paths.log()).empty();
}

}  // namespace

bool is_store(const disk& files, const store_paths& paths) {
    if (!files.exists(paths.root)) return false;
    if (!std::filesystem::is_directory(paths.root))
        throw error(errc::not_a_store, paths.root + " is not a directory: choose another place");
    if (files.exists(paths.format())) {
        check_format(files, files.read_whole(paths.format(), 200), paths);
        return true;
    }
    if (has_mark(files, paths)) throw_format_lost(paths, "missing");
    for (const std::string& name : files.list(paths.root)) {
        if (!is_leftover(files, paths, name))
            throw error(errc::not_a_store, paths.root + " is not a store, it holds something else, for example " +
                                               name + ": check the path, or choose an empty directory");
    }
    return false;
}

void make_root(const disk& files, const store_paths& paths) {
    const std::filesystem::path root = std::filesystem::absolute(paths.root);
    std::filesystem::path made;
    for (const std::filesystem::path& step : root) {
        const std::filesystem::path parent = made;
        made /= step;
        if (files.exists(made.string())) continue;
        if (files.make_directory(made.string())) files.sync_directory(parent.string());
    }
}

void make_store(const disk& files, const store_paths& paths) {
    files.make_directory(paths.log());
    files.sync_directory(paths.root);
    files.write_whole(paths.format(), std::string(format_magic) + std::to_string(format_version) + "\n");
}

std::optional<mark> read_mark(const disk& files, const store_paths& paths) {
    if (!files.exists(paths.mark())) return std::nullopt;
    const std::string block = files.read_whole(paths.mark(), 2 * mark::bytes);
    const std::optional<mark> noted = decode_marks(block);
    if (!noted)
        throw error(errc::corrupt, paths.mark() + " is damaged: it says up to where the log was written. Restore the " +
                                       "store from a copy, or remove this file to do without that check");
    return noted;
}

index_state peek_index(const disk& files, const store_paths& paths) {
    if (!index::exists(files, paths.index())) return {};
    index_options options;
    options.path = paths.index();
    options.read_only = true;
    return index(std::move(options)).state();
}

std::string kernel_boot_id() {
    try {
        std::string id = disk().read_whole("/proc/sys/kernel/random/boot_id", 40);
        while (!id.empty() && id.back() == '\n') id.pop_back();
        return id;
    } catch (const disk_error&) {
        return {};
    }
}

error open_error(const disk_error& failure, const store_paths& paths) {
    const bool refused = failure.number() == EACCES || failure.number() == EPERM;
    if (refused && ::access(paths.root.c_str(), R_OK | X_OK) == 0 && ::access(paths.root.c_str(), W_OK) != 0)
        return {errc::read_only, std::string(failure.what()) + "; open the store where it can be written"};
    return to_error(failure, outcome::not_applied);
}

}  // namespace tstreams::local
