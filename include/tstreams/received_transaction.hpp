// A transaction as readers get it. Items are read lazily, frame by frame, so one that does not fit in memory can be
// read, and read again.
//
//     for (const auto& item : *received) use(item.text());
#pragma once

#include <tstreams/codec.hpp>
#include <tstreams/types.hpp>

#include <cstddef>
#include <iterator>
#include <memory>
#include <string_view>

namespace tstreams {

namespace detail {
class received_state;
class item_cursor;
struct access;
}  // namespace detail

// One item; its bytes are valid until the iterator moves on or goes away.
class item {
public:
    item() noexcept = default;
    explicit item(bytes_view bytes) noexcept : bytes_(bytes) {}
    [[nodiscard]] bytes_view bytes() const noexcept { return bytes_; }
    [[nodiscard]] std::string_view text() const noexcept { return as_text(bytes_); }
    template <encodable T>
    [[nodiscard]] T as() const {
        return codec<T>::decode(bytes_);
    }

private:
    bytes_view bytes_;
};

// Threads: one at a time; copies share the cheap parts and may be used by different threads.
class received_transaction {
public:
    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = item;
        using difference_type = std::ptrdiff_t;
        using pointer = const item*;
        using reference = const item&;

        iterator() noexcept = default;
        explicit iterator(std::shared_ptr<detail::item_cursor> cursor);
        reference operator*() const noexcept { return current_; }
        pointer operator->() const noexcept { return &current_; }
        iterator& operator++();
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator& one, const iterator& other) noexcept {
            return one.cursor_ == other.cursor_;
        }

    private:
        std::shared_ptr<detail::item_cursor> cursor_;
        item current_;
    };

    received_transaction() noexcept = default;

    // Each begin() starts at the first item and keeps one frame in memory. Moving on throws position_expired when
    // retention removed the items meanwhile, stream_deleted, corrupt, storage_failed; the iterator is then at its
    // end and the transaction may be tried again.
    [[nodiscard]] iterator begin() const;
    [[nodiscard]] iterator end() const noexcept { return {}; }

    [[nodiscard]] transaction_id id() const noexcept;
    [[nodiscard]] partition_number partition() const noexcept;
    [[nodiscard]] wall_time opened_at() const noexcept { return id().time(); }
    [[nodiscard]] wall_time expires() const noexcept;   // when retention may remove it
    [[nodiscard]] std::uint64_t size() const noexcept;  // items
    [[nodiscard]] std::uint64_t bytes() const noexcept;
    [[nodiscard]] transaction_state state() const noexcept;

    // Only with on_open = skip: an open transaction was passed over. It has no items; what it will be is lost to
    // this reader.
    [[nodiscard]] bool skipped() const noexcept;

private:
    friend struct detail::access;
    explicit received_transaction(std::shared_ptr<const detail::received_state> state) noexcept;
    std::shared_ptr<const detail::received_state> state_;
};

// A walk over the items of a transaction for code that must not block: async_next_items of <tstreams/async.hpp>
// gives those of a frame at a time. Threads: one at a time.
class item_reader {
public:
    item_reader() noexcept = default;
    explicit item_reader(const received_transaction& of);

private:
    friend struct detail::access;
    std::shared_ptr<detail::item_cursor> state_;
};

}  // namespace tstreams
