#include <weave/frame_pool.hpp>

#include <array>
#include <cstdint>
#include <new>

namespace weave::detail {
namespace {

constexpr std::size_t granule_bytes = 64;
constexpr std::size_t pooled_bytes_max = 4096;
constexpr std::uint32_t frames_kept_max = 1024;

// Under a sanitizer frames are not recycled: a use after free, or a race on a frame, would go unseen.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool recycling = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool recycling = false;
#else
constexpr bool recycling = true;
#endif
#else
constexpr bool recycling = true;
#endif

class free_list {
public:
    free_list() = default;
    free_list(const free_list&) = delete;
    free_list& operator=(const free_list&) = delete;
    ~free_list() {
        while (void* frame = pop()) ::operator delete(frame);
        count_ = frames_kept_max;  // what is freed after the thread's end goes to the heap
    }

    void* pop() noexcept {
        node* top = head_;
        if (!top) return nullptr;
        head_ = top->next;
        --count_;
        return top;
    }
    bool push(void* frame) noexcept {
        if (count_ == frames_kept_max) return false;
        head_ = ::new (frame) node{head_};
        ++count_;
        return true;
    }

private:
    struct node {
        node* next;
    };
    node* head_ = nullptr;
    std::uint32_t count_ = 0;
};

thread_local std::array<free_list, pooled_bytes_max / granule_bytes> lists;

constexpr std::size_t rounded(std::size_t bytes) {
    return (bytes + granule_bytes - 1) / granule_bytes * granule_bytes;
}

}  // namespace

void* frame_allocate(std::size_t bytes) {
    if (!recycling || bytes > pooled_bytes_max) return ::operator new(bytes);
    if (void* frame = lists[(bytes - 1) / granule_bytes].pop()) return frame;
    return ::operator new(rounded(bytes));
}

void frame_free(void* frame, std::size_t bytes) noexcept {
    if (!recycling || bytes > pooled_bytes_max || !lists[(bytes - 1) / granule_bytes].push(frame))
        ::operator delete(frame);
}

}  // namespace weave::detail
