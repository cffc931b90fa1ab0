#include <tstreams/admin.hpp>

#include "client/client_state.hpp"
#include "client/handles.hpp"

#include <tstreams/error.hpp>

namespace tstreams {

namespace {

void check_limit(std::uint32_t limit) {
    if (limit < 1 || limit > 10'000)
        throw error(errc::invalid_argument, "a limit of " + std::to_string(limit) + ": use 1 to 10000");
}

}  // namespace

server_status status(const client& of) {
    const auto& state = detail::use(of, "client");
    return state->run(state->service().status());
}

std::vector<server_client> clients(const client& of, std::uint32_t limit) {
    check_limit(limit);
    const auto& state = detail::use(of, "client");
    return state->run(state->service().list_clients(limit));
}

std::vector<open_transaction_info> open_transactions(const client& of, std::uint32_t limit) {
    check_limit(limit);
    const auto& state = detail::use(of, "client");
    return state->run(state->service().list_open(limit));
}

}  // namespace tstreams
