// Out of T-streams into Redis, exactly once: a script, which Redis runs as one step, writes the results of a
// transaction and moves the position, if the position is still the one before it and this instance owns the sink.
//
// A script whose outcome is unknown (no answer, the connection broke, the server was killed) is settled by asking
// for the position. One that arrives late, or comes from an older instance that wakes up, finds the condition broken.
//
// Run:  ./sink_redis file:/tmp/numbers localhost:6379 [COUNT]      (or a path, of a Unix socket) kill it, run it again
//       redis-cli keys 'sink:*'; redis-cli llen 'results:{ID}'     ID is the stream's number
#include "numbered_input.hpp"

#include <hiredis.h>

#include <chrono>
#include <csignal>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

// A script holds up all other clients, and its arguments are held in memory. Larger transactions need a position with
// the number of the item in it, and are then visible in parts.
constexpr std::size_t script_bytes_max = std::size_t{16} << 20;

// KEYS: the hash with owner and positions, the list of results. The braces in both names keep them in one slot of a
// cluster. ARGV: owner. The owner and each partition are fields of the hash.
constexpr std::string_view take_over = R"(
redis.call('hset', KEYS[1], 'owner', ARGV[1])
return redis.call('hgetall', KEYS[1])
)";

// ARGV: owner, partition, the position before, the position behind, results... Ids are compared as texts: as numbers
// of Lua they would lose digits. A script that fails in the middle is not undone: what can fail is looked at first.
constexpr std::string_view store_results = R"(
if redis.call('hget', KEYS[1], 'owner') ~= ARGV[1] then return 'not the owner' end
if (redis.call('hget', KEYS[1], ARGV[2]) or '0') ~= ARGV[3] then return 'another position' end
local kind = redis.call('type', KEYS[2]).ok
if kind ~= 'list' and kind ~= 'none' then return redis.error_reply('the key of the results is not a list') end
for n = 5, #ARGV do redis.call('rpush', KEYS[2], ARGV[n]) end
redis.call('hset', KEYS[1], ARGV[2], ARGV[4])
return 'stored'
)";

// What was under way may have happened: go on from what Redis says.
struct interrupted : std::runtime_error {
    using runtime_error::runtime_error;
};

struct free_context {
    void operator()(redisContext* context) const noexcept { redisFree(context); }
};
struct free_reply {
    void operator()(redisReply* reply) const noexcept { freeReplyObject(reply); }
};
using reply_ptr = std::unique_ptr<redisReply, free_reply>;

std::string text_of(const redisReply* reply) {
    if (reply->str == nullptr) throw std::runtime_error("Redis gave an answer of an unexpected kind");
    return {reply->str, reply->len};
}

class results_store {
public:
    // Connects, and takes the sink over: whatever an older instance sends from now on changes nothing.
    results_store(std::string address, const tstreams::stream_info& stream)
        : address_(std::move(address)),
          keys_{"sink:{" + std::to_string(stream.id) + "}", "results:{" + std::to_string(stream.id) + "}"},
          owner_(random_name()) {
        for (tstreams::partition_number n = 0; n < stream.partitions; ++n) positions_[n];
        retry([&] { read_positions(evaluate(take_over, {owner_})); });
    }

    [[nodiscard]] std::vector<tstreams::partition_position> after() const {
        std::vector<tstreams::partition_position> list;
        for (const auto& [partition, id] : positions_) list.push_back({partition, id});
        return list;
    }

    // Results and position: all of it, or nothing. Throws `interrupted` where it may be either.
    void store(const tstreams::received_transaction& received) {
        if (received.bytes() > script_bytes_max) throw std::runtime_error("the transaction is too large for a script");
        auto& position = positions_.at(received.partition());
        std::vector<std::string> arguments = {owner_, std::to_string(received.partition()),
                                              std::to_string(position.value()), std::to_string(received.id().value())};
        for (const auto& item : received) arguments.emplace_back(item.text());
        const auto answer = text_of(evaluate(store_results, arguments).get());
        if (answer == "not the owner") superseded();
        // Redis is not where this instance left it: an answer was lost, or Redis has lost what it had not yet written.
        if (answer != "stored") throw interrupted(answer);
        position = received.id();
    }

    // After `interrupted`: connects again and asks how far the work is. `lost` is the transaction that was under way.
    void resume(const tstreams::received_transaction& lost) {
        const auto known = positions_;
        retry([&] { read_positions(command({"hgetall", keys_.at(0)})); });
        const bool done = positions_.at(lost.partition()) == lost.id();
        std::clog << "sink_redis: transaction " << lost.id().value() << " of partition " << lost.partition()
                  << (done ? " is stored\n" : " is not stored\n");
        for (const auto& [partition, id] : known) {
            if (positions_.at(partition) < id) {
                std::clog << "sink_redis: Redis went back in partition " << partition << ", from " << id.value()
                          << " to " << positions_.at(partition).value() << "\n";
            }
        }
    }

private:
    static std::string random_name() {
        std::random_device random;
        return std::to_string(random()) + "-" + std::to_string(random()) + "-" + std::to_string(random());
    }
    [[noreturn]] static void superseded() {
        throw std::runtime_error("the sink belongs to a newer instance; this one ends");
    }

    // From the fields and values of the hash, in turn.
    void read_positions(const reply_ptr& reply) {
        for (auto& [partition, id] : positions_) id = tstreams::transaction_id(0);
        bool owned = false;
        for (std::size_t n = 0; n + 1 < reply->elements; n += 2) {
            const auto field = text_of(reply->element[n]);
            const auto value = text_of(reply->element[n + 1]);
            if (field == "owner") {
                owned = value == owner_;
            } else {
                const auto partition = static_cast<tstreams::partition_number>(std::stoul(field));
                positions_[partition] = tstreams::transaction_id(std::stoull(value));
            }
        }
        if (!owned) superseded();
    }

    void connect() {
        constexpr timeval limit{.tv_sec = 5, .tv_usec = 0};  // also for each answer
        const auto colon = address_.rfind(':');
        if (address_.starts_with('/')) {
            context_.reset(redisConnectUnixWithTimeout(address_.c_str(), limit));
        } else if (colon != std::string::npos) {
            const int port = std::stoi(address_.substr(colon + 1));
            context_.reset(redisConnectWithTimeout(address_.substr(0, colon).c_str(), port, limit));
        } else {
            throw std::runtime_error("the address is HOST:PORT, or the path of a Unix socket");
        }
        if (!context_) throw std::bad_alloc();
        if (context_->err != 0) throw interrupted(context_->errstr);
        redisSetTimeout(context_.get(), limit);
    }

    reply_ptr evaluate(std::string_view script, const std::vector<std::string>& arguments) {
        std::vector<std::string> words = {"eval", std::string(script), "2", keys_.at(0), keys_.at(1)};
        words.insert(words.end(), arguments.begin(), arguments.end());
        return command(words);
    }

    // After any failure the connection is closed: an answer that comes late would be taken for the next one's.
    reply_ptr command(const std::vector<std::string>& words) {
        if (!context_) connect();
        std::vector<const char*> texts;
        std::vector<std::size_t> sizes;
        for (const auto& word : words) {
            texts.push_back(word.data());
            sizes.push_back(word.size());
        }
        reply_ptr reply(static_cast<redisReply*>(
            redisCommandArgv(context_.get(), static_cast<int>(words.size()), texts.data(), sizes.data())));
        if (!reply) throw interrupted(context_->errstr);
        if (reply->type != REDIS_REPLY_ERROR) return reply;
        const auto text = text_of(reply.get());
        // A server that reads its file after a start, or that a failover has made a replica, or is about to.
        for (const char* passing : {"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY"}) {
            if (text.starts_with(passing)) throw interrupted(text);
        }
        throw std::runtime_error(text);
    }

    // `work` may be done again after any interruption. Tries for about a minute.
    template <typename Work>
    void retry(Work work) {
        constexpr int tries_max = 300;
        for (int tries = 1;; ++tries) {
            context_.reset();
            try {
                return work();
            } catch (const interrupted& failure) {
                if (tries == tries_max) throw std::runtime_error(failure.what());
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(200));
        }
    }

    std::string address_;
    std::vector<std::string> keys_;
    std::string owner_;
    std::map<tstreams::partition_number, tstreams::transaction_id> positions_;  // as far as this instance knows
    std::unique_ptr<redisContext, free_context> context_;
};

void run(tstreams::client& client, const std::string& address) {
    results_store results(address, client.stream("numbers"));
    // Without a name: no offset is stored by T-streams.
    auto input = client.make_consumer("numbers", {.start = tstreams::after(results.after())});
    while (auto received = input.next(std::chrono::milliseconds(0))) {
        try {
            results.store(*received);
        } catch (const interrupted& failure) {
            std::clog << "sink_redis: " << failure.what() << "\n";
            results.resume(*received);
            input.set_position(tstreams::after(results.after()));
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::cerr << "usage: sink_redis file:DIRECTORY HOST:PORT|SOCKET [COUNT]\n";
        return 2;
    }
    std::signal(SIGPIPE, SIG_IGN);  // what hiredis writes into a broken connection must not end the program
    try {
        auto client = tstreams::client::open(argv[1]);
        feed_numbers(client, "numbers", 4, argc > 3 ? std::stoull(argv[3]) : 10'000);
        run(client, argv[2]);
    } catch (const std::exception& failure) {
        std::cerr << "sink_redis: " << failure.what() << "\n";
        return 1;
    }
}
