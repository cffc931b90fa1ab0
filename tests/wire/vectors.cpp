#include "tests/wire/vectors.hpp"

#include "tests/wire/example.hpp"
#include "tests/wire/filler.hpp"
#include "wire/call_list.hpp"

#include <cctype>
#include <fstream>
#include <stdexcept>

namespace tstreams::wire::test {

namespace {

constexpr std::string_view prefix = "tstreams.";

std::string text_of(const request_head& head) {
    viewer view;
    view(head.major, head.minor, head.session, head.sequence, head.answered_below);
    return "[" + view.text() + "]";
}

template <class Call>
vector_file request_of(const request_head& head, const Call& call, std::string about) {
    return {std::move(about), std::string(Call::command), "request", text_of(head),
            shown(call),      encode_request(head, call)};
}

template <class Call>
vector_file reply_of(const typename Call::reply& reply, std::string about) {
    return {std::move(about), std::string(Call::command), "reply", {}, shown(reply), encode_reply(reply)};
}

// What a failure holds is not seen outside of envelope.cpp.
struct failure_view {
    std::uint16_t code = 0;
    outcome result = outcome::unknown;
    std::string text;
    partition_number partition = 0;
    std::uint64_t oldest_live_position = 0;
};
template <class Archive, form_of<failure_view> T>
void describe(Archive& archive, T& value) {
    archive(value.code, value.result, value.text, value.partition, value.oldest_live_position);
}

failure_view view_of(const std::string& bytes) {
    decoder from(bytes);
    std::uint8_t status = 0;
    failure_view seen;
    from(status, seen);
    if (status != 1) throw error(errc::malformed_message, "that is no error");
    return seen;
}

vector_file error_of(const std::exception_ptr& failure, std::string about) {
    std::string bytes = encode_failure(failure);
    return {std::move(about), {}, "error", {}, shown(view_of(bytes)), bytes};
}

template <class Error, class... Arguments>
std::exception_ptr thrown(Arguments... arguments) {
    return std::make_exception_ptr(Error(arguments...));
}

void add_errors(std::map<std::string, vector_file>& all) {
    all["not_applied.error"] = error_of(thrown<error>(errc::stream_exists, "stream 'orders' exists already"),
                                        "A refusal: it was not done and never will be.");
    all["unknown.error"] =
        error_of(thrown<error>(errc::outcome_unknown, "it may have happened; ask again", outcome::unknown),
                 "A commit that may have happened.");
    all["applied.error"] =
        error_of(thrown<error>(errc::transaction_closed, "it is checkpointed already", outcome::applied),
                 "A cancel that came too late.");
    all["position_expired.error"] =
        error_of(thrown<position_expired_error>("transactions have expired", partition_number{3}, 0x0102030405060708U),
                 "The only error with the last two fields: the partition, and where to go on.");
}

// The forms that fields have when they are not all there.
void add_variants(std::map<std::string, vector_file>& all) {
    request_head head;
    head.session = 0x1122334455667788;
    head.sequence = 6;
    head.answered_below = 5;
    all["find_stream_nothing.reply"] = reply_of<find_stream_call>(std::nullopt, "There is no such stream.");
    update_stream_call changes{"orders", {}};
    changes.changes.partitions = 8;
    all["update_stream_partly.request"] = request_of(head, changes, "The other settings stay.");
    all["attach_producer_new.reply"] = reply_of<attach_producer_call>({1, std::nullopt}, "A name without a position.");
    all["watch_begun.reply"] = reply_of<watch_call>({}, "The first item: nothing has happened yet.");
    core::event_batch one;
    core::transaction_change& told = one.events.emplace_back();
    told.partition = 3;
    told.kind = event_kind::checkpointed;
    told.id = example::first;
    told.items = 2;
    told.bytes = 15;
    all["watch_one.reply"] = reply_of<watch_call>(one, "One event, and none was lost.");
    core::read_reply nothing;
    nothing.end = true;
    all["read_nothing.reply"] = reply_of<read_call>(nothing, "Nothing is behind the position.");
    retention_info back;
    back.holding = true;
    back.jump = std::chrono::seconds(-7200);
    all["retention_back.reply"] = reply_of<retention_call>(back, "A negative number: the clock is behind.");
}

}  // namespace

std::map<std::string, vector_file> make_vectors() {
    std::map<std::string, vector_file> all;
    all_calls::each([&]<class Call>() {
        const std::string name(Call::command.substr(prefix.size()));
        filler fill;
        Call call;
        fill.fill(call);
        request_head head;
        if constexpr (!std::same_as<Call, open_session_call>) head.session = 0x1122334455667788;
        if constexpr (Call::acts) {
            head.sequence = 6;
            head.answered_below = 5;
        }
        typename Call::reply reply{};
        fill.fill(reply);
        all[name + ".request"] = request_of(head, call, "Every field has a value.");
        all[name + ".reply"] = reply_of<Call>(reply, "Every field has a value.");
    });
    add_errors(all);
    add_variants(all);
    const auto add = [&](const std::string& name, vector_file made) { all["example_" + name] = std::move(made); };
    each_of_example([&]<class Call>(const char* name, const request_head& head, const Call& call,
                                    const typename Call::reply& reply) {
        add(name + std::string(".request"), request_of(head, call, "Of the worked example."));
        add(name + std::string(".reply"), reply_of<Call>(reply, "Of the worked example."));
    });
    return all;
}

// -- files --------------------------------------------------------------------------------------------------

std::string to_text(const vector_file& vector) {
    constexpr std::size_t bytes_of_line = 32;
    std::string text = "# " + vector.about + "\nkind " + vector.kind + "\n";
    if (!vector.call.empty()) text += "call " + vector.call + "\n";
    if (!vector.head.empty()) text += "head " + vector.head + "\n";
    text += "fields " + vector.fields + "\n";
    for (std::size_t at = 0; at < vector.bytes.size(); ++at) {
        char hex[4];
        std::snprintf(hex, sizeof hex, " %02x", static_cast<unsigned char>(vector.bytes[at]));
        if (at % bytes_of_line == 0) text += at == 0 ? "bytes" : "\nbytes";
        text += hex;
    }
    return text + "\n";
}

vector_file load_vector(const std::string& path) {
    vector_file made;
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) {
        const std::size_t space = std::min(line.find(' '), line.size() - 1);
        const std::string word = line.substr(0, space);
        const std::string value = line.substr(space + 1);
        if (word == "#") made.about = value;
        if (word == "kind") made.kind = value;
        if (word == "call") made.call = value;
        if (word == "head") made.head = value;
        if (word == "fields") made.fields = value;
        if (word != "bytes") continue;
        for (std::size_t at = 0; at < value.size(); at += 3)
            made.bytes += static_cast<char>(std::stoi(value.substr(at, 2), nullptr, 16));
    }
    if (made.kind.empty() || made.fields.empty() || made.bytes.empty())
        throw std::runtime_error(path + " is not a test vector");
    return made;
}

// -- decoding -----------------------------------------------------------------------------------------------

namespace {

template <class Call>
vector_file decoded(const vector_file& vector) {
    if (vector.kind == "reply") return reply_of<Call>(decode_reply<typename Call::reply>(vector.bytes), vector.about);
    decoder from(vector.bytes);
    const request_head head = decode_head(from);
    Call call;
    from.fields_of(call);
    return request_of(head, call, vector.about);
}

}  // namespace

vector_file decode_vector(const vector_file& vector) {
    if (vector.kind == "error") {
        try {
            decoder from(vector.bytes);
            check_failure(from);
        } catch (const error&) {
            return error_of(std::current_exception(), vector.about);
        }
        throw error(errc::malformed_message, "that is no error");
    }
    vector_file made;
    all_calls::each([&]<class Call>() {
        if (Call::command == vector.call) made = decoded<Call>(vector);
    });
    if (made.call.empty()) throw error(errc::unsupported, vector.call + " is not a call");
    return made;
}

}  // namespace tstreams::wire::test
