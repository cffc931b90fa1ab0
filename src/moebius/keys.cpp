#include <moebius/error.hpp>
#include <moebius/security.hpp>

#include "moebius/zap.hpp"
#include "moebius/zmq_socket.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <sstream>
#include <utility>

namespace moebius {
namespace {

constexpr std::size_t key_characters = 40;
constexpr std::size_t name_bytes_max = 255;
constexpr std::size_t key_file_max = 4096;
constexpr std::size_t allowlist_file_max = std::size_t{64} << 20;
constexpr std::string_view public_line = "public-key";
constexpr std::string_view secret_line = "secret-key";

[[noreturn]] void refuse(const std::string& what) {
    throw error(errc::invalid_key, what);
}

bool is_key(std::string_view text) {
    std::array<std::uint8_t, 32> bytes{};
    return text.size() == key_characters && text.find('\0') == std::string_view::npos &&
           zmq_z85_decode(bytes.data(), std::string(text).c_str()) != nullptr;
}

// Overwrites a secret before its memory is given back.
struct wiped {
    std::string text;
    wiped() = default;
    wiped(const wiped&) = delete;
    wiped& operator=(const wiped&) = delete;
    ~wiped() { detail::wipe(text); }
};

class file {
public:
    file(const std::string& path, int flags) : descriptor_(::open(path.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, 0600)) {
        if (descriptor_ < 0) refuse(path + ": " + std::strerror(errno));
    }
    ~file() { ::close(descriptor_); }
    file(const file&) = delete;
    file& operator=(const file&) = delete;

    // Of this user, and without any of the permission bits for others.
    void check(const std::string& path, unsigned others) const {
        struct stat found{};
        if (::fstat(descriptor_, &found) != 0) refuse(path + ": " + std::strerror(errno));
        if (!S_ISREG(found.st_mode)) refuse(path + ": not a regular file");
        const bool secret = (others & 0044U) != 0;
        if (found.st_uid != ::geteuid() && (secret || found.st_uid != 0)) refuse(path + ": belongs to another user");
        if ((found.st_mode & others) != 0)
            refuse(path + ": open to other users (chmod " + (secret ? "go-rwx)" : "go-w)"));
    }
    void read(const std::string& path, std::string& to, std::size_t most) const {
        std::array<char, 4096> piece;
        for (;;) {
            const ssize_t got = ::read(descriptor_, piece.data(), piece.size());
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) refuse(path + ": " + std::strerror(errno));
            if (got == 0) break;
            to.append(piece.data(), static_cast<std::size_t>(got));
            if (to.size() > most) refuse(path + ": too long");
        }
        explicit_bzero(piece.data(), piece.size());
    }
    void write(const std::string& path, std::string_view text) const {
        while (!text.empty()) {
            const ssize_t put = ::write(descriptor_, text.data(), text.size());
            if (put < 0 && errno == EINTR) continue;
            if (put < 0) refuse(path + ": " + std::strerror(errno));
            text.remove_prefix(static_cast<std::size_t>(put));
        }
        if (::fsync(descriptor_) != 0) refuse(path + ": " + std::strerror(errno));
    }

private:
    int descriptor_;
};

}  // namespace

key_pair generate_keys() {
    std::array<char, key_characters + 1> open{}, secret{};
    do {  // on a command line a key that begins with '-' would be an option
        if (zmq_curve_keypair(open.data(), secret.data()) != 0) detail::throw_zmq("new keys");
    } while (open[0] == '-' || secret[0] == '-');
    key_pair made{open.data(), secret.data()};
    explicit_bzero(secret.data(), secret.size());
    return made;
}

std::string public_key_of(const std::string& secret_key) {
    std::array<char, key_characters + 1> open{};
    if (!is_key(secret_key) || zmq_curve_public(open.data(), secret_key.c_str()) != 0)
        refuse("a secret key has 40 characters of Z85");
    return open.data();
}

void write_key_file(const std::string& path, const key_pair& keys) {
    if (public_key_of(keys.secret_key) != keys.public_key) refuse("two keys that do not belong together");
    wiped content;
    content.text.reserve(256);
    for (const auto& [name, key] : {std::pair(public_line, &keys.public_key), std::pair(secret_line, &keys.secret_key)})
        content.text.append(name).append(" ").append(*key).append("\n");
    const file made(path, O_WRONLY | O_CREAT | O_EXCL);
    made.write(path, content.text);
}

key_pair read_key_file(const std::string& path) {
    const file from(path, O_RDONLY | O_NONBLOCK);
    from.check(path, 0077);
    wiped content;
    content.text.reserve(2 * key_file_max);
    from.read(path, content.text, key_file_max);
    key_pair found;
    std::string_view rest = content.text;
    for (const auto& [name, key] :
         {std::pair(public_line, &found.public_key), std::pair(secret_line, &found.secret_key)}) {
        const std::size_t line = name.size() + 1 + key_characters + 1;
        if (rest.size() < line || !rest.starts_with(name) || rest[name.size()] != ' ' || rest[line - 1] != '\n')
            refuse(path + ": not a file of keys");
        *key = rest.substr(name.size() + 1, key_characters);
        rest.remove_prefix(line);
    }
    if (!rest.empty() || !is_key(found.secret_key) || public_key_of(found.secret_key) != found.public_key)
        refuse(path + ": not a file of two keys that belong together");
    return found;
}

allowlist& allowlist::add(std::string_view public_key, std::string_view user_id) {
    if (!is_key(public_key)) refuse("a public key has 40 characters of Z85");
    if (user_id.size() > name_bytes_max) refuse("a name of more than 255 bytes");
    if (!names_.try_emplace(std::string(public_key), user_id.empty() ? public_key : user_id).second)
        refuse("the key is in the list already: " + std::string(public_key));
    return *this;
}

void allowlist::remove(std::string_view public_key) noexcept {
    if (const auto found = names_.find(public_key); found != names_.end()) names_.erase(found);
}

const std::string* allowlist::find(std::string_view public_key) const noexcept {
    const auto found = names_.find(public_key);
    return found == names_.end() ? nullptr : &found->second;
}

allowlist read_allowlist(const std::string& path) {
    const file from(path, O_RDONLY | O_NONBLOCK);
    from.check(path, 0022);
    std::string content;
    from.read(path, content, allowlist_file_max);
    allowlist made;
    std::istringstream lines(content);
    std::string line;
    for (std::size_t number = 1; std::getline(lines, line); ++number) {
        if (line.empty() || line.starts_with("# ")) continue;
        const std::string_view text = line;
        const std::string_view key = text.substr(0, key_characters);
        const std::string_view name = text.size() > key_characters + 1 ? text.substr(key_characters + 1) : "";
        try {
            if (text.size() > key_characters && (text[key_characters] != ' ' || name.empty()))
                refuse("a line is KEY or KEY NAME");
            made.add(key, name);
        } catch (const error& failure) {
            refuse(path + ":" + std::to_string(number) + ": " + failure.what());
        }
    }
    return made;
}

}  // namespace moebius
