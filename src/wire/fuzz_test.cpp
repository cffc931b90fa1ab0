// Decoders of everything that comes from a client or a server, fed with mutated messages: each either gives a value
// or throws error(malformed_message), and takes no more memory than the bytes explain. Seed: TSTREAMS_TEST_SEED.
#include "wire/call_list.hpp"
#include "wire/envelope.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace tstreams::wire {
namespace {

std::mt19937_64& source() {
    static std::mt19937_64 made = [] {
        const char* given = std::getenv("TSTREAMS_TEST_SEED");
        const std::uint64_t seed = given ? std::stoull(given) : std::random_device()();
        std::printf("TSTREAMS_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
        return std::mt19937_64(seed);
    }();
    return made;
}

std::uint64_t below(std::uint64_t end) {
    return source()() % end;
}

// Fills a value with something, so that lists and texts are not empty.
class filler {
public:
    template <class... Fields>
    void operator()(Fields&... fields) {
        (fill(fields), ...);
    }
    template <class T>
    void fill(T& value) {
        if constexpr (std::is_enum_v<T>)
            value = static_cast<T>(below(4));
        else if constexpr (std::same_as<T, bool>)
            value = below(2) != 0;
        else if constexpr (std::is_integral_v<T>)
            value = static_cast<T>(source()());
        else if constexpr (std::same_as<T, std::string>)
            value.assign(below(40), 'x');
        else if constexpr (std::same_as<T, std::string_view>)
            value = "text";
        else if constexpr (std::same_as<T, bytes_view>)
            value = as_bytes("some bytes");
        else if constexpr (std::same_as<T, transaction_id>)
            value = transaction_id(source()());
        else if constexpr (std::same_as<T, wall_time>)
            value = wall_time(std::chrono::microseconds(1));
        else
            fill_compound(value);
    }

private:
    template <class Period>
    void fill_compound(std::chrono::duration<std::int64_t, Period>& value) {
        value = std::chrono::duration<std::int64_t, Period>(1);
    }
    template <class T>
    void fill_compound(std::optional<T>& value) {
        fill(value.emplace());
    }
    template <class T>
    void fill_compound(std::vector<T>& list) {
        list.resize(1 + below(3));
        for (T& one : list) fill(one);
    }
    template <class T>
        requires requires(filler& to, T& value) { describe(to, value); }
    void fill_compound(T& value) {
        describe(*this, value);
    }
};

std::string mutated(std::string bytes) {
    for (std::uint64_t changes = 1 + below(4); changes != 0 && !bytes.empty(); --changes) {
        const std::size_t at = below(bytes.size());
        switch (below(5)) {
            case 0:
                bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
                break;
            case 1:
                bytes.resize(at);
                break;
            case 2:
                bytes.insert(at, below(16), static_cast<char>(source()()));
                break;
            case 3: {
                constexpr std::uint64_t lengths[] = {0xffffffffU, 0x80000000U, std::uint64_t{1} << 63, 0xffffffU};
                const std::uint64_t length = lengths[below(4)];
                const std::size_t width = std::min<std::size_t>(bytes.size() - at, below(2) != 0 ? 4 : 8);
                std::memcpy(bytes.data() + at, &length, width);
                break;
            }
            default:
                bytes.erase(at, below(9));
        }
    }
    return bytes;
}

struct count {
    int whole = 0, malformed = 0;
};

template <class Function>
void feed(count& counted, Function decode) {
    try {
        decode();
        ++counted.whole;
    } catch (const error& failure) {
        const bool expected = failure.code() == errc::malformed_message || failure.code() == errc::unsupported;
        EXPECT_TRUE(expected) << failure.what();
        ++counted.malformed;
    }
}

template <class Call>
void fuzz(count& requests, count& replies) {
    constexpr int rounds = 1500;
    for (int i = 0; i < rounds; ++i) {
        Call call{};
        typename Call::reply reply{};
        filler fill;
        describe(fill, call);
        fill.fill(reply);
        const std::string request = mutated(encode_request(request_head{}, call));
        feed(requests, [&] {
            decoder from(request);
            std::ignore = decode_head(from);
            Call back{};
            from.fields_of(back);
        });
        std::string answer = mutated(encode_reply(reply));
        if (!answer.empty()) answer.front() = 0;  // errors are decoded elsewhere
        feed(replies, [&] { std::ignore = decode_reply<typename Call::reply>(answer); });
    }
}

TEST(decoders, take_whatever_comes) {
    count requests, replies;
    all_calls::each([&]<class Call>() { fuzz<Call>(requests, replies); });
    std::printf("requests: %d whole, %d malformed; replies: %d whole, %d malformed\n", requests.whole,
                requests.malformed, replies.whole, replies.malformed);
    EXPECT_GT(requests.whole, 100);
    EXPECT_GT(requests.malformed, 1000);
    EXPECT_GT(replies.malformed, 1000);
}

TEST(decoders, take_whatever_comes_as_an_error) {
    const std::string sent = encode_failure(
        std::make_exception_ptr(position_expired_error("transactions have expired", partition_number{3}, 77)));
    int errors = 0;
    for (int i = 0; i < 20'000; ++i) {
        const std::string changed = mutated(sent);
        decoder from(changed);
        try {
            check_failure(from);
        } catch (const error&) {
            ++errors;
        }
    }
    EXPECT_GT(errors, 10'000);
}

// A list of so many elements of no bytes would be made before it is seen that they are not there.
TEST(decoders, a_length_is_compared_with_what_is_left) {
    for (const std::uint32_t length : {0xffffffffU, 0x80000000U, 0x10000U}) {
        encoder to;
        to(std::uint64_t{1}, std::uint64_t{2}, length, std::uint8_t{0});
        const std::string bytes = to.take();
        decoder from(bytes);
        wait_readable_call call;
        EXPECT_THROW(from.fields_of(call), error);
        EXPECT_LT(call.positions.capacity(), 16U);
    }
}

}  // namespace
}  // namespace tstreams::wire
