// libFuzzer on the decoders of what a client sends, of what a server answers, and of the frames of items inside. The
// first byte says which call it is, and whether the rest is a request (even) or an answer (odd).
//
//     tstreams_calls_fuzz CORPUS...       for ever; what it finds is written to a file and printed
#include "core/frames.hpp"
#include "wire/call_list.hpp"
#include "wire/envelope.hpp"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

using namespace tstreams;
using namespace tstreams::wire;

void must(bool holds) {
    if (!holds) std::abort();
}

// What was understood is the same when it is written and read again; what later versions added is gone then.
template <class Call>
std::string request_again(std::string_view bytes) {
    decoder from(bytes);
    const request_head head = decode_head(from);
    Call call{};
    from.fields_of(call);
    return encode_request(head, call);
}

template <class Reply>
std::string reply_again(std::string_view bytes) {
    return encode_reply(decode_reply<Reply>(bytes));
}

template <class Call>
void read(bool request, std::string_view bytes) {
    const auto again = request ? request_again<Call> : reply_again<typename Call::reply>;
    const std::string once = again(bytes);
    must(again(once) == once);
}

void read_one_of(unsigned which, std::string_view bytes) {
    unsigned number = 0;
    all_calls::each([&]<class Call>() {
        if (number++ == which / 2) read<Call>(which % 2 == 0, bytes);
    });
}

void read_frame(std::string_view bytes) {
    try {
        core::frame_reader items(bytes);
        std::size_t held = 0;
        while (const auto one = items.next()) held += one->size();
        must(held <= bytes.size());
    } catch (const error& failure) {
        must(failure.code() == errc::corrupt);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    read_frame(bytes);
    try {
        read_one_of(data[0], bytes);
    } catch (const error& failure) {
        // An answer may be any error of a broker; a request is refused as one that cannot be read.
        must(data[0] % 2 == 1 || failure.code() == errc::malformed_message || failure.code() == errc::unsupported);
    }
    return 0;
}
