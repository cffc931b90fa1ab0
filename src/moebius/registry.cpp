#include <moebius/registry.hpp>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

namespace moebius {
namespace {

using clock = std::chrono::steady_clock;

constexpr std::size_t line_bytes_max = 4096;
constexpr std::chrono::milliseconds retry_period{1000};
constexpr std::chrono::milliseconds answer_max{5000};

bool is_plain(std::string_view text) {
    return std::none_of(text.begin(), text.end(), [](char one) {
        const auto byte = static_cast<unsigned char>(one);
        return byte < 0x20 || byte == 0x7F;
    });
}

void check(const agent& one) {
    bool good = !one.name.empty() && !one.endpoint.empty() && is_plain(one.name) && is_plain(one.endpoint);
    for (const auto& [key, value] : one.attributes)
        good = good && !key.empty() && key.find('=') == std::string::npos && is_plain(key) && is_plain(value);
    if (!good || one.ttl.count() <= 0) throw error(errc::malformed, "no valid agent");
}

// Takes the text before the separator, or all of it.
std::string_view take(std::string_view& text, char separator) {
    const std::size_t end = std::min(text.find(separator), text.size());
    const std::string_view taken = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return taken;
}

agent from_line(std::string_view line) {
    if (line.size() > line_bytes_max) throw error(errc::too_large, "an agent of more than 4096 bytes");
    agent found;
    found.name = take(line, '\t');
    found.endpoint = take(line, '\t');
    const std::string_view ttl = take(line, '\t');
    std::int64_t count = 0;
    const auto [end, failure] = std::from_chars(ttl.data(), ttl.data() + ttl.size(), count);
    if (failure != std::errc() || end != ttl.data() + ttl.size()) throw error(errc::malformed, "no valid agent");
    found.ttl = std::chrono::milliseconds(count);
    while (!line.empty()) {
        std::string_view value = take(line, '\t');
        std::string key(take(value, '='));
        found.attributes.emplace_back(std::move(key), value);
    }
    check(found);
    return found;
}

// Withdraws when the announcer ends, however that happens.
struct withdrawal {
    requester& registry;
    std::string line;
    ~withdrawal() {
        try {
            registry.notify("moebius.withdraw", message(line));
        } catch (const error&) {
            // It expires.
        }
    }
};

}  // namespace

std::string to_line(const agent& one) {
    check(one);
    std::string line = one.name + '\t' + one.endpoint + '\t' + std::to_string(one.ttl.count());
    for (const auto& [key, value] : one.attributes) line += '\t' + key + '=' + value;
    if (line.size() > line_bytes_max) throw error(errc::too_large, "an agent of more than 4096 bytes");
    return line;
}

std::vector<agent> from_lines(std::string_view lines) {
    std::vector<agent> all;
    while (!lines.empty()) all.push_back(from_line(take(lines, '\n')));
    return all;
}

struct registry::state {
    using key = std::pair<std::string, std::string>;  // name, endpoint
    struct entry {
        agent who;
        std::string user_id;
        clock::time_point until;
    };

    // Expired ones are forgotten when somebody asks for anything; their number is bounded until then, too.
    void forget_expired() {
        const clock::time_point now = clock::now();
        while (!by_end.empty() && by_end.begin()->first <= now) forget(by_end.begin()->second);
    }
    void forget(const key& which) {
        const auto place = all.find(which);
        by_end.erase({place->second.until, place->first});
        all.erase(place);
    }

    registry_limits limits;
    std::map<key, entry> all;
    std::set<std::pair<clock::time_point, key>> by_end;
};

registry::registry(registry_limits limits) : state_(std::make_unique<state>()) {
    state_->limits = limits;
}

registry::~registry() = default;

void registry::announce(const agent& one, std::string_view user_id) {
    check(one);
    state_->forget_expired();
    const state::key which(one.name, one.endpoint);
    const auto known = state_->all.find(which);
    if (known != state_->all.end()) {
        if (known->second.user_id != user_id) throw error(errc::invalid_state, "another user announced this agent");
        state_->forget(which);
    } else if (state_->all.size() >= state_->limits.agents) {
        throw error(errc::overloaded, "the registry is full");
    }
    const clock::time_point until = clock::now() + std::min(one.ttl, state_->limits.ttl);
    state_->by_end.emplace(until, which);
    state_->all.emplace(which, state::entry{one, std::string(user_id), until});
}

void registry::withdraw(const agent& one, std::string_view user_id) {
    state_->forget_expired();
    const state::key which(one.name, one.endpoint);
    const auto known = state_->all.find(which);
    if (known == state_->all.end()) return;
    if (known->second.user_id != user_id) throw error(errc::invalid_state, "another user announced this agent");
    state_->forget(which);
}

std::vector<agent> registry::look_up(std::string_view pattern) {
    state_->forget_expired();
    const bool by_prefix = pattern.ends_with('*');
    if (by_prefix) pattern.remove_suffix(1);
    std::vector<agent> found;
    const clock::time_point now = clock::now();
    for (auto at = state_->all.lower_bound({std::string(pattern), {}}); at != state_->all.end(); ++at) {
        const std::string& name = at->first.first;
        if (by_prefix ? !name.starts_with(pattern) : name != pattern) break;
        if (found.size() >= state_->limits.found) throw error(errc::too_large, "too many agents: ask for fewer");
        found.push_back(at->second.who);
        found.back().ttl = std::chrono::ceil<std::chrono::milliseconds>(at->second.until - now);
    }
    return found;
}

std::size_t registry::size() {
    state_->forget_expired();
    return state_->all.size();
}

void registry::serve(command_router& routes) {
    const auto one_agent = [](const request& asked) { return from_line(asked.body().text()); };
    routes.on("moebius.announce", [this, one_agent](request& asked) {
        announce(one_agent(asked), asked.peer().user_id());
        asked.reply(std::string_view());
    });
    routes.on("moebius.withdraw", [this, one_agent](request& asked) {
        withdraw(one_agent(asked), asked.peer().user_id());
        asked.reply(std::string_view());
    });
    routes.on("moebius.look_up", [this](request& asked) {
        if (!asked.binary()) throw error(errc::malformed, "the registry speaks the binary format only");
        std::string lines;
        for (const agent& one : look_up(asked.body().text())) lines += to_line(one) + '\n';
        asked.reply(lines);
    });
}

task<> announcer(requester& registry, agent self, std::function<void(const std::string& failure)> heard) {
    const withdrawal at_end{registry, to_line(self)};
    std::optional<std::string> last;
    for (;;) {
        std::string failure;
        try {
            message body(at_end.line);
            co_await registry.call("moebius.announce", std::move(body), std::min(self.ttl, answer_max));
        } catch (const cancelled&) {
            throw;
        } catch (const error& why) {
            failure = why.what();
        }
        if (heard && last != failure) heard(failure);
        last = failure;
        const duration third = self.ttl / 3;
        co_await sleep_for(failure.empty() ? third : std::min<duration>(third, retry_period));
    }
}

task<std::vector<agent>> look_up(requester& registry, std::string pattern, duration timeout) {
    message body(pattern);
    const message answer = co_await registry.call("moebius.look_up", std::move(body), timeout);
    co_return from_lines(answer.text());
}

}  // namespace moebius
