#include "moebius/json_scan.hpp"

#include <moebius/router.hpp>

namespace moebius {

command_router::command_router() = default;
command_router::~command_router() = default;

void command_router::add(route rule) {
    std::string name = rule.name;
    if (!rules_.try_emplace(name, std::move(rule)).second)
        throw error(errc::invalid_state, "two rules for the command " + name);
}

void command_router::set_fallback(route rule) {
    if (fallback_ || next_) throw error(errc::invalid_state, "two rules for what has none");
    fallback_.emplace(std::move(rule));
}

command_router& command_router::otherwise(router& next) {
    if (fallback_ || next_) throw error(errc::invalid_state, "two rules for what has none");
    next_ = &next;
    return *this;
}

// Often it is the command of the request before.
const route* command_router::named(std::string_view command) noexcept {
    if (last_ && last_->name == command) return last_;
    const auto rule = rules_.find(command);
    return rule == rules_.end() ? nullptr : last_ = &rule->second;
}

routing command_router::match(std::string_view command, const request& asked) {
    if (asked.binary()) return find(command, asked);
    const detail::json_command found = detail::find_command(asked.body().text(), unescaped_);
    if (found.failure == errc::malformed) return errc::malformed;
    if (found.failure == errc::none) {
        if (const route* rule = named(found.name)) return *rule;
    }
    if (next_) return next_->match(command, asked);
    if (fallback_) return *fallback_;
    return errc::unroutable;
}

routing command_router::find(std::string_view command, const request& asked) {
    if (const route* rule = named(command)) return *rule;
    if (next_) return next_->match(command, asked);
    if (fallback_) return *fallback_;
    return errc::unroutable;
}

}  // namespace moebius
