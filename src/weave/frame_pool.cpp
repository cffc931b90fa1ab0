#include <weave/frame_pool.hpp>

#include <array>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>

namespace weave::detail {
namespace {

constexpr std::size_t granule_bytes = 64;
constexpr std::size_t pooled_bytes_max = 4096;
constexpr std::size_t classes = pooled_bytes_max / granule_bytes;
constexpr std::uint32_t batch_frames = 64;
constexpr std::size_t depot_bytes_max = std::size_t{8} << 20;

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

constexpr std::size_t class_of(std::size_t bytes) {
    return (bytes - 1) / granule_bytes;
}

struct node {
    node* next;
    node* next_batch;  // in the depot, of the first frame of a batch
};

// Where threads exchange full batches: what one thread makes and another frees comes back to the first.
class depot {
public:
    // Null where there is none.
    node* take(std::size_t size_class) noexcept {
        const std::lock_guard lock(mutex_);
        node* const first = batches_[size_class];
        if (!first) return nullptr;
        batches_[size_class] = first->next_batch;
        bytes_ -= bytes_of(size_class);
        return first;
    }
    bool give(std::size_t size_class, node* first) noexcept {
        const std::lock_guard lock(mutex_);
        if (bytes_ + bytes_of(size_class) > depot_bytes_max) return false;
        first->next_batch = std::exchange(batches_[size_class], first);
        bytes_ += bytes_of(size_class);
        return true;
    }

private:
    static std::size_t bytes_of(std::size_t size_class) { return (size_class + 1) * granule_bytes * batch_frames; }

    std::mutex mutex_;
    std::array<node*, classes> batches_{};
    std::size_t bytes_ = 0;
};

// Never destroyed: threads may end after static objects are gone.
depot& the_depot() {
    static depot* const one = new depot;
    return *one;
}

void free_batch(node* first) noexcept {
    while (first) ::operator delete(std::exchange(first, first->next));
}

// What one thread keeps of one size: a batch that it fills and empties, and a full one behind it.
class free_list {
public:
    free_list() = default;
    free_list(const free_list&) = delete;
    free_list& operator=(const free_list&) = delete;
    ~free_list() {
        free_batch(std::exchange(head_, nullptr));
        free_batch(std::exchange(full_, nullptr));
        over_ = true;  // what is freed after the thread's end goes to the heap
    }

    void* pop(std::size_t size_class) noexcept {
        if (!head_ && !refill(size_class)) return nullptr;
        node* const top = head_;
        head_ = top->next;
        --count_;
        return top;
    }
    bool push(void* frame, std::size_t size_class) noexcept {
        if (over_) return false;
        if (count_ == batch_frames) spill(size_class);
        head_ = ::new (frame) node{head_, nullptr};
        ++count_;
        return true;
    }

private:
    bool refill(std::size_t size_class) noexcept {
        head_ = full_ ? std::exchange(full_, nullptr) : the_depot().take(size_class);
        count_ = head_ ? batch_frames : 0;
        return head_ != nullptr;
    }
    void spill(std::size_t size_class) noexcept {
        if (full_ && !the_depot().give(size_class, full_)) free_batch(full_);
        full_ = std::exchange(head_, nullptr);
        count_ = 0;
    }

    node* head_ = nullptr;
    node* full_ = nullptr;  // batch_frames of them
    std::uint32_t count_ = 0;
    bool over_ = false;
};

thread_local std::array<free_list, classes> lists;

}  // namespace

void* frame_allocate(std::size_t bytes) {
    if (!recycling || bytes > pooled_bytes_max) return ::operator new(bytes);
    const std::size_t size_class = class_of(bytes);
    if (void* frame = lists[size_class].pop(size_class)) return frame;
    return ::operator new((size_class + 1) * granule_bytes);
}

void frame_free(void* frame, std::size_t bytes) noexcept {
    const std::size_t size_class = class_of(bytes);
    if (!recycling || bytes > pooled_bytes_max || !lists[size_class].push(frame, size_class)) ::operator delete(frame);
}

}  // namespace weave::detail
