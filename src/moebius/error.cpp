#include <moebius/error.hpp>

namespace moebius {

std::string_view name_of(errc code) noexcept {
    switch (code) {
        case errc::none:
            return "none";
        case errc::peer_gone:
            return "peer_gone";
        case errc::would_block:
            return "would_block";
        case errc::overloaded:
            return "overloaded";
        case errc::unroutable:
            return "unroutable";
        case errc::malformed:
            return "malformed";
        case errc::timed_out:
            return "timed_out";
        case errc::cancelled:
            return "cancelled";
        case errc::ignored:
            return "ignored";
        case errc::replaced:
            return "replaced";
        case errc::unanswered:
            return "unanswered";
        case errc::handler_failed:
            return "handler_failed";
        case errc::stopping:
            return "stopping";
        case errc::not_a_stream:
            return "not_a_stream";
        case errc::too_large:
            return "too_large";
        case errc::invalid_state:
            return "invalid_state";
        case errc::would_deadlock:
            return "would_deadlock";
        case errc::transport:
            return "transport";
        case errc::unauthorized:
            return "unauthorized";
        case errc::unprotected:
            return "unprotected";
        case errc::invalid_key:
            return "invalid_key";
        case errc::application:
            return "application";
    }
    return code > errc::application ? "application" : "unknown";
}

error::error(errc code, const std::string& text)
    : std::runtime_error(text.empty() ? std::string(name_of(code)) : text), code_(code) {}

}  // namespace moebius
