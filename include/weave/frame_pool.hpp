// Recycles coroutine frames: a hot task costs a pointer swap instead of a trip to the heap.
#pragma once

#include <cstddef>

namespace weave::detail {

// Frames of up to 4 KiB come from free lists of the calling thread, larger ones from the heap. A frame may be
// freed on another thread than it was allocated on. Each list keeps at most 1,024 frames (see frame_pool.cpp).
[[nodiscard]] void* frame_allocate(std::size_t bytes);
void frame_free(void* frame, std::size_t bytes) noexcept;

}  // namespace weave::detail
