#include "wire/envelope.hpp"

#include <cstring>

namespace tstreams::wire {

namespace {

constexpr std::size_t error_text_max = 4096;

struct failure_fields {
    std::uint16_t code = 0;
    outcome result = outcome::unknown;
    std::string text;
    // position_expired only.
    partition_number partition = 0;
    std::uint64_t oldest_live_position = 0;
};

template <class Archive, form_of<failure_fields> T>
void describe(Archive& archive, T& value) {
    archive(value.code, value.result, value.text, value.partition, value.oldest_live_position);
}

failure_fields fields_of(const std::exception_ptr& failure) {
    failure_fields fields;
    const auto note = [&](errc code, outcome result, const char* text) {
        fields.code = static_cast<std::uint16_t>(code);
        fields.result = result;
        fields.text = std::string_view(text).substr(0, error_text_max);
    };
    try {
        std::rethrow_exception(failure);
    } catch (const position_expired_error& expired) {
        note(expired.code(), expired.outcome(), expired.what());
        fields.partition = expired.partition();
        fields.oldest_live_position = expired.oldest_live_position();
    } catch (const error& said) {
        note(said.code(), said.outcome(), said.what());
    } catch (const std::exception& other) {
        note(errc::invalid_state, outcome::unknown, other.what());
    }
    return fields;
}

}  // namespace

std::string encode_write_front(const request_head& head, const write_call& call) {
    write_call front = call;
    front.data = {};
    std::string bytes = encode_request(head, front);
    const auto length = static_cast<std::uint32_t>(call.data.size());  // of a frame that fits into a message
    std::memcpy(bytes.data() + bytes.size() - sizeof length, &length, sizeof length);
    return bytes;
}

request_head decode_head(decoder& from) {
    request_head head;
    from(head.major);
    if (head.major != major_version)
        throw error(errc::unsupported, "protocol version " + std::to_string(head.major) + ": this server speaks " +
                                           std::to_string(major_version) + " only");
    from(head.minor, head.session, head.sequence, head.answered_below);
    return head;
}

std::string encode_failure(const std::exception_ptr& failure) {
    encoder to;
    to(std::uint8_t{1});
    to(fields_of(failure));
    return to.take();
}

void check_failure(decoder& from) {
    std::uint8_t status = 0;
    from(status);
    if (status == 0) return;
    if (status != 1) throw error(errc::malformed_message, "an answer that is none", outcome::unknown);
    failure_fields fields;
    from(fields);
    const auto code = static_cast<errc>(fields.code);
    if (code == errc::position_expired)
        throw position_expired_error(fields.text, fields.partition, fields.oldest_live_position);
    throw error(code, fields.text, fields.result);
}

}  // namespace tstreams::wire
