#include "cli/failure.hpp"

#include "cli/encoding.hpp"

namespace tstreams::cli {

exit_code exit_code_of(errc code) noexcept {
    switch (code) {
        case errc::invalid_argument:
        case errc::invalid_name:
        case errc::unsupported:  // a kind of store that this build does not have
            return exit_code::usage;
        case errc::stream_not_found:
        case errc::stream_deleted:
        case errc::partition_not_found:
        case errc::offset_not_found:
        case errc::transaction_unknown:
        case errc::store_not_found:
            return exit_code::not_found;
        case errc::locked:
        case errc::fenced:
        case errc::consumer_live:
            return exit_code::refused;
        default:
            return exit_code::failure;
    }
}

namespace {

// Only the partition that has lost something: the others have offsets that are good.
std::string after_expiry(const error& failure, const subject& about, const std::string& stream) {
    const auto* lost = dynamic_cast<const position_expired_error*>(&failure);
    if (about.consumer.empty() || lost == nullptr)
        return "go on with the oldest that is left: " + about.program + " consume " + stream + " --from oldest";
    return "to go on with the oldest that is left: " + about.program + " offset set " + stream + " " +
           shell_word(about.consumer) + " " + std::to_string(lost->oldest_live_position()) + " --partition " +
           std::to_string(lost->partition());
}

std::string advice(const error& failure, const subject& about) {
    const std::string stream = about.stream.empty() ? "NAME" : shell_word(about.stream);
    const std::string& program = about.program;
    switch (failure.code()) {
        case errc::store_not_found:
            return "begin with: " + program + " stream create " + stream;
        case errc::stream_not_found:
            return "create it with: " + program + " stream create " + stream + ", or see: " + program + " stream list";
        case errc::stream_deleted:
            return "see what there is with: " + program + " stream list";
        case errc::stream_exists:
            return "see it with: " + program + " stream show " + stream;
        case errc::partition_not_found:
            return "see how many there are with: " + program + " stream show " + stream;
        case errc::offset_not_found:
            if (about.consumer.empty()) return "see: " + program + " offset list " + stream;
            return "begin with: " + program + " consume " + stream + " --name " + shell_word(about.consumer) +
                   " --from oldest";
        case errc::position_expired:
            return after_expiry(failure, about, stream);
        case errc::transaction_unknown:
            return "see: " + program + " txn list " + stream;
        case errc::consumer_live:
            return "stop it, or add --take-over to fence it";
        case errc::corrupt:
            return "check the whole store with: " + program + " verify";
        default:
            return {};
    }
}

}  // namespace

error no_offset(const std::string& stream, const std::string& consumer) {
    return {errc::offset_not_found, "consumer '" + consumer + "' has no stored offset in stream '" + stream + "'"};
}

std::string error_line(const error& failure, const subject& about) {
    std::string line = "tstreams: " + printable(failure.what());
    const std::string next = advice(failure, about);
    if (!next.empty()) line += "; " + next;
    return line;
}

}  // namespace tstreams::cli
