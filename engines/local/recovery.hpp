// Reading the log: record by record, at open and when a store is verified.
#pragma once

#include "engines/local/file.hpp"
#include "engines/local/format.hpp"
#include "engines/local/index.hpp"
#include "engines/local/log.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tstreams::local {

// Walks the records of one file.
class record_walk {
public:
    enum class step : std::uint8_t { record, end, bad };

    // From `offset` on; zero: from the file's header, which is checked.
    record_walk(std::shared_ptr<file> from, std::uint32_t number, std::uint64_t offset);

    step next();
    // After `record`: what stands at at().
    [[nodiscard]] const record_header& header() const noexcept { return header_; }
    [[nodiscard]] position at() const noexcept { return {number_, static_cast<std::uint32_t>(at_)}; }
    [[nodiscard]] position behind() const noexcept { return {number_, static_cast<std::uint32_t>(next_)}; }
    // After `bad`: what is wrong at at().
    [[nodiscard]] const std::string& reason() const noexcept { return reason_; }
    // The file's header; only when it was walked from zero.
    [[nodiscard]] const file_header& before() const noexcept { return before_; }

    // Whether the payload has the checksum that the header says.
    [[nodiscard]] bool payload_is_right();
    [[nodiscard]] std::string read_payload();
    // Whether the part of the payload that a hole would take reads as zeros.
    [[nodiscard]] bool payload_is_punched();

    // From `offset` on, at any record boundary: the header of the first valid record.
    [[nodiscard]] std::optional<record_header> find_valid(std::uint64_t offset);

private:
    // `bytes` of the file at `offset`; less at its end. Valid until the next call.
    std::string_view window(std::uint64_t offset, std::size_t bytes);
    step bad(std::string reason);

    std::shared_ptr<file> file_;
    std::uint32_t number_;
    std::uint64_t size_;
    std::uint64_t at_ = 0;
    std::uint64_t next_ = 0;
    file_header before_;
    record_header header_;
    std::string reason_;
    std::string buffer_;
    std::uint64_t buffer_at_ = 0;
};

// The bytes of a frame's record that a hole takes: whole pages of its payload. Empty where there are none.
struct hole {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
};
[[nodiscard]] hole hole_of(std::uint32_t record_offset, std::uint32_t length) noexcept;

// What is to be done before the log can go on.
struct recovery_plan {
    position from;  // what the index has
    position end;   // where the log goes on
    std::uint64_t last_commit = 0;
    position last_commit_end;
    std::uint32_t oldest_undecided = no_file;  // as of the last commit
    std::uint64_t cut_bytes = 0;               // torn off
    std::vector<std::uint32_t> numbers;        // the files that stay
    std::vector<std::uint32_t> removed;        // the files behind the end
};

// Reads the log behind `state` and decides where it ends; changes nothing. Throws corrupt, naming file and
// offset.
[[nodiscard]] recovery_plan plan_recovery(const disk& files, const store_paths& paths, const index_state& state,
                                          const std::optional<mark>& noted, const std::string& boot_id);
// Cuts the torn end.
void cut(const disk& files, const store_paths& paths, const recovery_plan& plan);
// Applies the commits that the index does not have.
void replay(const disk& files, const store_paths& paths, const recovery_plan& plan, const index_state& state,
            index& into);

}  // namespace tstreams::local
