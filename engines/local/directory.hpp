// The directory of a store: is it one, whose is it, and making a new one.
#pragma once

#include "engines/local/file.hpp"
#include "engines/local/format.hpp"
#include "engines/local/index.hpp"
#include "engines/local/log.hpp"

#include <optional>
#include <string>

namespace tstreams::local {

// Throws not_a_store, format_newer, or corrupt where all but FORMAT is there; false where there is no store but one can
// be made, because the directory is missing, empty, or holds what an interrupted making has left.
[[nodiscard]] bool is_store(const disk& files, const store_paths& paths);
// Makes the directory and its parents.
void make_root(const disk& files, const store_paths& paths);
// Makes an empty store of a locked directory.
void make_store(const disk& files, const store_paths& paths);

// Empty where there is none. Throws corrupt.
[[nodiscard]] std::optional<mark> read_mark(const disk& files, const store_paths& paths);
// How far the index on the disk is, without changing it.
[[nodiscard]] index_state peek_index(const disk& files, const store_paths& paths);
// This run of the machine; empty where it is not known.
[[nodiscard]] std::string kernel_boot_id();

// A failure at open, as the caller is told of it.
[[nodiscard]] error open_error(const disk_error& failure, const store_paths& paths);

}  // namespace tstreams::local
