// Which store a command works on, and opening it.
#pragma once

#include <tstreams/client.hpp>

#include <optional>
#include <string>

namespace tstreams::cli {

class store_place {
public:
    // In this order: `typed` (from --at), the environment's TSTREAMS_URI, a directory of the user's own data.
    // An empty `typed` is a variable that a script has not set: it is refused by open(), and does not stand for the
    // default. Throws usage_error when the last is needed and the user has no home directory.
    explicit store_place(std::optional<std::string> typed);

    [[nodiscard]] const std::string& uri() const noexcept { return uri_; }
    // How the user calls the tool for this store, for commands shown in messages.
    [[nodiscard]] std::string program() const;

    // Fails with store_not_found where there is none: reading and writing never make a store.
    [[nodiscard]] client open() const;
    // Makes it where there is none.
    [[nodiscard]] client open_or_create() const;

private:
    [[nodiscard]] client_options options() const;
    std::string uri_;
    bool typed_;
};

}  // namespace tstreams::cli
