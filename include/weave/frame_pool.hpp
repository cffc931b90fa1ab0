// Recycles small blocks of memory: a hot task, or a node of a hot container, costs a pointer swap instead of a
// trip to the heap.
#pragma once

#include <cstddef>

namespace weave {

namespace detail {

// Blocks of 1 byte to 4 KiB come from lists of the calling thread, larger ones from the heap. A block may be freed
// on another thread than it was allocated on. A thread keeps at most 128 free blocks of a size (multiples of 64
// bytes); what is more goes, in batches, to a depot of at most 8 MiB that all threads share.
[[nodiscard]] void* frame_allocate(std::size_t bytes);
void frame_free(void* frame, std::size_t bytes) noexcept;

}  // namespace detail

// The same for containers whose elements come and go all the time.
template <class T>
struct recycling_allocator {
    using value_type = T;
    static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);

    recycling_allocator() = default;
    template <class U>
    recycling_allocator(const recycling_allocator<U>&) noexcept {}

    [[nodiscard]] T* allocate(std::size_t count) { return static_cast<T*>(detail::frame_allocate(count * sizeof(T))); }
    void deallocate(T* place, std::size_t count) noexcept { detail::frame_free(place, count * sizeof(T)); }

    template <class U>
    friend bool operator==(const recycling_allocator&, const recycling_allocator<U>&) noexcept {
        return true;
    }
};

}  // namespace weave
