#include "cli/output.hpp"

#include "cli/failure.hpp"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <system_error>

namespace tstreams::cli {

namespace {
constexpr std::size_t buffer_bytes = std::size_t{64} << 10;
}

output::output(int descriptor) : descriptor_(descriptor), terminal_(::isatty(descriptor) == 1) {
    buffer_.reserve(buffer_bytes);
}

void output::write(std::string_view bytes) {
    if (buffer_.size() + bytes.size() > buffer_bytes) flush();
    if (bytes.size() >= buffer_bytes)
        write_through(bytes);
    else
        buffer_ += bytes;
}

void output::flush() {
    write_through(buffer_);
    buffer_.clear();
}

void output::write_through(std::string_view bytes) {
    while (!bytes.empty()) {
        const ::ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
        if (written >= 0) {
            bytes.remove_prefix(static_cast<std::size_t>(written));
            continue;
        }
        if (errno == EINTR) continue;
        if (errno == EPIPE) throw output_closed();
        if (errno != EAGAIN) throw std::system_error(errno, std::generic_category(), "standard output");
        // Somebody made the descriptor non-blocking; other processes may share it, so it stays as it is.
        ::pollfd ready{descriptor_, POLLOUT, 0};
        ::poll(&ready, 1, -1);
    }
}

bool output::regular_file() const noexcept {
    struct stat file{};
    return ::fstat(descriptor_, &file) == 0 && S_ISREG(file.st_mode);
}

bool output::reader_gone() const noexcept {
    ::pollfd state{descriptor_, 0, 0};
    return ::poll(&state, 1, 0) == 1 && (state.revents & (POLLERR | POLLHUP)) != 0;
}

}  // namespace tstreams::cli
