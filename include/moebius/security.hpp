// Who may talk to a server, and that nobody else listens: CURVE keys and a list of allowed clients.
//
//     moebius::server_options options;                                     // the server
//     options.security = {moebius::read_key_file("server.key").secret_key, moebius::read_allowlist("clients")};
//     moebius::requester_options with;                                     // a client
//     with.security = {moebius::read_key_file("client.key"), server_public_key};
//
// Without keys a server binds to this machine only: ipc, inproc, and loopback addresses.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace moebius {

// Curve25519 keys in Z85: 40 printable characters each.
struct key_pair {
    std::string public_key;
    std::string secret_key;
};

// Throws error(transport) when libzmq was built without CURVE.
[[nodiscard]] key_pair generate_keys();
// Throws error(invalid_key) for what is no key; the text never shows it.
[[nodiscard]] std::string public_key_of(const std::string& secret_key);

// A text file that only its owner may read. Throws error(invalid_key) when it exists already or cannot be written.
void write_key_file(const std::string& path, const key_pair& keys);
// Throws error(invalid_key) for a file that is not there, is a symbolic link, belongs to another user, may be read or
// written by others, or does not hold two keys that belong together.
[[nodiscard]] key_pair read_key_file(const std::string& path);

// The public keys of the clients that may come, and what each of them is called. A value: change a copy and give it
// to server::allow().
class allowlist {
public:
    // Without a name the key is its own. Several keys may have one name. Throws error(invalid_key) for what is no
    // public key, for one that is in the list already, and for a name of more than 255 bytes.
    allowlist& add(std::string_view public_key, std::string_view user_id = {});
    void remove(std::string_view public_key) noexcept;
    // The name; null for a key that is not in the list.
    [[nodiscard]] const std::string* find(std::string_view public_key) const noexcept;
    [[nodiscard]] std::size_t size() const noexcept { return names_.size(); }

private:
    struct hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view key) const noexcept { return std::hash<std::string_view>{}(key); }
    };
    std::unordered_map<std::string, std::string, hash, std::equal_to<>> names_;
};

// A text file with a line "KEY NAME" or "KEY" per client; empty lines and those that begin with "# " are left out.
// Throws error(invalid_key), which names the line, and for a file that others may write.
[[nodiscard]] allowlist read_allowlist(const std::string& path);

// Of a server: its own secret key, and who may come.
struct server_security {
    std::string secret_key;
    allowlist clients;
};

// Of a client: its own keys, and the public key of the server that it is to find.
struct client_security {
    key_pair keys;
    std::string server_key;
};

}  // namespace moebius
