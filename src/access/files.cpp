#include "access/files.hpp"

#include <moebius/error.hpp>
#include <tstreams/error.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace tstreams::access {

namespace {

constexpr std::size_t key_file_bytes_max = 4096;

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
    throw error(errc::invalid_argument, path + ": " + why);
}

[[noreturn]] void refuse_errno(const std::string& path) {
    refuse(path, std::strerror(errno));
}

class descriptor {
public:
    explicit descriptor(int number) noexcept : number_(number) {}
    ~descriptor() {
        if (number_ >= 0) ::close(number_);
    }
    descriptor(const descriptor&) = delete;
    descriptor& operator=(const descriptor&) = delete;
    [[nodiscard]] int get() const noexcept { return number_; }

private:
    int number_;
};

// systemd keeps them as root's and lets the service read them by an access list, which shows as group permissions.
bool is_credential(const std::string& path) {
    const char* directory = std::getenv("CREDENTIALS_DIRECTORY");
    if (directory == nullptr || *directory != '/') return false;
    const std::string in = std::string(directory) + "/";
    return path.starts_with(in) && path.find('/', in.size()) == std::string::npos;
}

void check(const std::string& path, const struct stat& found, file_privacy wanted) {
    if (!S_ISREG(found.st_mode)) refuse(path, "not a regular file");
    const bool credential = is_credential(path);
    const bool secret = wanted == file_privacy::secret && !credential;
    if (found.st_uid != ::geteuid() && (secret || found.st_uid != 0)) refuse(path, "belongs to another user");
    unsigned closed = secret ? 0077U : 0022U;
    if (wanted == file_privacy::secret && credential) closed = 0027U;
    if ((found.st_mode & closed) != 0)
        refuse(path, std::string("open to other users (chmod ") + (secret ? "go-rwx)" : "go-w)"));
}

void write_all(const std::string& path, int to, std::string_view text) {
    while (!text.empty()) {
        const ssize_t put = ::write(to, text.data(), text.size());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) refuse_errno(path);
        text.remove_prefix(static_cast<std::size_t>(put));
    }
}

std::string parent_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

std::string line_of(std::string_view text, std::string_view name) {
    const std::size_t start = text.find(name);
    if (start == std::string_view::npos) return {};
    const std::size_t from = start + name.size();
    return std::string(text.substr(from, std::min(text.find('\n', from), text.size()) - from));
}

}  // namespace

std::string read_file(const std::string& path, file_privacy wanted, std::size_t bytes_max) {
    const descriptor from(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
    if (from.get() < 0) refuse_errno(path);
    struct stat found{};
    if (::fstat(from.get(), &found) != 0) refuse_errno(path);
    check(path, found, wanted);
    std::string text;
    std::array<char, 4096> piece{};
    for (;;) {
        const ssize_t got = ::read(from.get(), piece.data(), piece.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) refuse_errno(path);
        if (got == 0) break;
        text.append(piece.data(), static_cast<std::size_t>(got));
        if (text.size() > bytes_max) refuse(path, "longer than " + std::to_string(bytes_max) + " bytes");
    }
    ::explicit_bzero(piece.data(), piece.size());
    return text;
}

moebius::key_pair read_keys(const std::string& path) {
    if (!is_credential(path)) {
        try {
            return moebius::read_key_file(path);
        } catch (const moebius::error& failure) {
            throw error(errc::invalid_argument, failure.what());
        }
    }
    std::string text = read_file(path, file_privacy::secret, key_file_bytes_max);
    moebius::key_pair found{line_of(text, "public-key "), line_of(text, "secret-key ")};
    ::explicit_bzero(text.data(), text.size());
    bool good = false;
    try {
        good = moebius::public_key_of(found.secret_key) == found.public_key;
    } catch (const moebius::error&) {
        good = false;
    }
    if (!good) refuse(path, "not a file of two keys that belong together");
    return found;
}

void replace_file(const std::string& path, std::string_view text) {
    struct stat found{};
    mode_t mode = 0644;
    if (::lstat(path.c_str(), &found) == 0) {
        if (!S_ISREG(found.st_mode)) refuse(path, "not a regular file");
        mode = found.st_mode & 0777U;
    }
    const std::string beside = path + ".new";
    ::unlink(beside.c_str());
    {
        const descriptor to(::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
        if (to.get() < 0) refuse_errno(path);  // the file that was meant, and not the one beside it
        write_all(path, to.get(), text);
        if (::fchmod(to.get(), mode & ~mode_t{0022}) != 0 || ::fsync(to.get()) != 0) refuse_errno(path);
    }
    if (::rename(beside.c_str(), path.c_str()) != 0) refuse_errno(path);
    const descriptor directory(::open(parent_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory.get() < 0 || ::fsync(directory.get()) != 0) refuse_errno(parent_of(path));
}

}  // namespace tstreams::access
