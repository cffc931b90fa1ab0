// Standard output, buffered, with every failure seen: what flush() returned from has been taken by the
// reader's end (pipe, file or terminal).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tstreams::cli {

class output {
public:
    // Does not own the descriptor. What is not flushed when it is destroyed is not written.
    explicit output(int descriptor);
    output(const output&) = delete;
    output& operator=(const output&) = delete;
    ~output() = default;

    // Both throw output_closed when nobody reads any more, std::system_error for other failures (a full
    // disk).
    void write(std::string_view bytes);
    void flush();
    void line(std::string_view text) {
        write(text);
        write("\n");
    }

    [[nodiscard]] bool terminal() const noexcept { return terminal_; }
    [[nodiscard]] bool regular_file() const noexcept;
    // Whether the reading end has gone, without writing anything.
    [[nodiscard]] bool reader_gone() const noexcept;

private:
    void write_through(std::string_view bytes);

    int descriptor_;
    bool terminal_;
    std::string buffer_;
};

}  // namespace tstreams::cli
