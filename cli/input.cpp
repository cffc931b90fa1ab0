#include "cli/input.hpp"

#include "cli/encoding.hpp"

#include <tstreams/error.hpp>

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <system_error>

namespace tstreams::cli {

namespace {

constexpr std::size_t chunk_bytes = std::size_t{64} << 10;

int poll_timeout(std::optional<input::clock::time_point> deadline) {
    if (!deadline) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - input::clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
}

}  // namespace

input::input(int descriptor, std::size_t item_bytes_max, const interruption& stop)
    : descriptor_(descriptor), item_bytes_max_(item_bytes_max), stop_(stop) {}

std::optional<std::uint64_t> input::bytes_in_all() const noexcept {
    struct stat file{};
    if (::fstat(descriptor_, &file) != 0 || !S_ISREG(file.st_mode)) return std::nullopt;
    return static_cast<std::uint64_t>(file.st_size);
}

input::answer input::line(std::optional<clock::time_point> deadline, std::string_view& item) {
    for (;;) {
        const std::size_t newline = buffer_.find('\n', scanned_);
        const bool found = newline != std::string::npos;
        const std::size_t end = found ? newline : buffer_.size();
        if (end - begin_ > item_bytes_max_)
            throw error(errc::too_large, "standard input: line " + std::to_string(lines_ + 1) +
                                             " is longer than an item may be (" + std::to_string(item_bytes_max_) +
                                             " bytes): split it");
        if (found || (ended_ && end > begin_)) {
            item = std::string_view(buffer_).substr(begin_, end - begin_);
            begin_ = scanned_ = found ? end + 1 : end;
            ++lines_;
            return answer::item;
        }
        scanned_ = end;
        if (ended_) return answer::end;
        const answer arrived = more(deadline);
        if (arrived == answer::timed_out || arrived == answer::interrupted) return arrived;
    }
}

input::answer input::everything(std::string_view& item) {
    while (!ended_) {
        if (more(std::nullopt) == answer::interrupted) return answer::interrupted;
        if (buffer_.size() > item_bytes_max_)
            throw error(errc::too_large, "standard input is longer than an item may be (" +
                                             std::to_string(item_bytes_max_) +
                                             " bytes): send it without --bytes, an item per line, or split it");
    }
    item = buffer_;
    return answer::item;
}

// Reads what is there, waiting up to the deadline: `item` stands for bytes or the end.
input::answer input::more(std::optional<clock::time_point> deadline) {
    if (begin_ > 0) {
        buffer_.erase(0, begin_);
        scanned_ -= begin_;
        begin_ = 0;
    }
    for (;;) {
        // Checked before anything is read: input that never pauses must not put the deadline off.
        if (deadline && clock::now() >= *deadline) return answer::timed_out;
        std::array<::pollfd, 2> watched = {{{descriptor_, POLLIN, 0}, {stop_.descriptor(), POLLIN, 0}}};
        const int ready = ::poll(watched.data(), watched.size(), poll_timeout(deadline));
        if (stop_.requested()) return answer::interrupted;
        if (ready <= 0 || watched[0].revents == 0) continue;
        const std::size_t before = buffer_.size();
        buffer_.resize(before + chunk_bytes);
        const ::ssize_t got = ::read(descriptor_, buffer_.data() + before, chunk_bytes);
        buffer_.resize(before + static_cast<std::size_t>(std::max<::ssize_t>(got, 0)));
        if (got < 0) {
            if (errno == EINTR || errno == EAGAIN) continue;
            throw std::system_error(errno, std::generic_category(), "standard input");
        }
        bytes_read_ += static_cast<std::uint64_t>(got);
        if (got == 0) ended_ = true;
        return answer::item;
    }
}

}  // namespace tstreams::cli
