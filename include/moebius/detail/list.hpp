// A doubly linked list of objects that their owners store: adding and removing allocate nothing.
#pragma once

#include <cstddef>

namespace moebius::detail {

// A base of what is in a list. It is in one list at a time, and takes itself off at its end.
class list_node {
public:
    list_node() noexcept = default;
    list_node(const list_node&) = delete;
    list_node& operator=(const list_node&) = delete;

    [[nodiscard]] bool linked() const noexcept { return next_ != nullptr; }
    void unlink() noexcept {
        if (!next_) return;
        previous_->next_ = next_;
        next_->previous_ = previous_;
        next_ = previous_ = nullptr;
    }

protected:
    ~list_node() { unlink(); }

private:
    template <class T>
    friend class list;
    list_node* previous_ = nullptr;
    list_node* next_ = nullptr;
};

template <class T>
class list {
public:
    list() noexcept { ends_.next_ = ends_.previous_ = &ends_; }
    list(const list&) = delete;
    list& operator=(const list&) = delete;
    ~list() {
        while (!empty()) ends_.next_->unlink();
        ends_.next_ = nullptr;  // the ends are in no list that they could leave
    }

    [[nodiscard]] bool empty() const noexcept { return ends_.next_ == &ends_; }
    [[nodiscard]] T& front() noexcept { return static_cast<T&>(*ends_.next_); }
    void push_back(T& one) noexcept {
        list_node& node = one;
        node.unlink();
        node.previous_ = ends_.previous_;
        node.next_ = &ends_;
        ends_.previous_->next_ = &node;
        ends_.previous_ = &node;
    }

    // Calls f(T&) for all in order; f may take off the one it is given, and add at the end.
    template <class F>
    void for_each(F&& f) {
        for (list_node* node = ends_.next_; node != &ends_;) {
            list_node* next = node->next_;
            f(static_cast<T&>(*node));
            node = next;
        }
    }
    // The first of which f(T&) is true; null if there is none.
    template <class F>
    [[nodiscard]] T* find(F&& f) {
        for (list_node* node = ends_.next_; node != &ends_; node = node->next_)
            if (f(static_cast<T&>(*node))) return static_cast<T*>(node);
        return nullptr;
    }

private:
    struct ends : list_node {
    } ends_;
};

}  // namespace moebius::detail
