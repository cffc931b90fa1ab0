// How the library reaches behind its handles.
#pragma once

#include <memory>
#include <utility>

namespace tstreams::detail {

struct access {
    template <class Handle>
    [[nodiscard]] static const auto& state(const Handle& handle) noexcept {
        return handle.state_;
    }
    template <class Handle, class State>
    [[nodiscard]] static Handle make(std::shared_ptr<State> state) noexcept {
        return Handle(std::move(state));
    }
};

}  // namespace tstreams::detail
