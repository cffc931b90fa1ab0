// What a caller hears when answers are lost: a server that answers as a script says stands for one that is killed at
// the worst moment.
#include "tests/api/api_test.hpp"
#include "wire/envelope.hpp"

#include <moebius/loop.hpp>
#include <moebius/request.hpp>
#include <moebius/router.hpp>
#include <moebius/server.hpp>

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <tuple>

namespace tstreams::api_test {
namespace {

// Of each call the n-th answer is the n-th of the list; the last one for all that follow.
enum class reply : std::uint8_t {
    fine,
    dropped,
    session_ended,
    not_found,
    unauthorized,
    overloaded,
    shutting_down,
    unreadable
};

class scripted_server {
public:
    explicit scripted_server(const std::string& endpoint, std::map<std::string, std::vector<reply>> script)
        : script_(std::move(script)), server_(loop_, rules_) {
        add<wire::open_session_call>([] {
            wire::opened_session opened;
            opened.session = 7;
            opened.request_bytes_max = 1 << 20;
            return opened;
        });
        add<wire::find_stream_call>([] {
            std::optional<stream_info> found(std::in_place);
            found->id = 1;
            found->name = "s";
            found->partitions = 1;
            return found;
        });
        add<wire::commit_call>([] { return core::commit_reply{{transaction_id(1)}}; });
        add<wire::attach_consumer_call>([] { return std::vector<core::attached_partition>(1); });
        add<wire::attach_producer_call>([] { return core::attached_producer{}; });
        add<wire::accept_clock_call>([] { return retention_info{}; });
        add<wire::delete_stream_call>([] { return wire::nothing{}; });
        add<wire::close_session_call>([] { return wire::nothing{}; });
        server_.bind(endpoint);
        thread_ = std::thread([this] { server_.run(); });
    }
    ~scripted_server() {
        server_.stop(0s);
        thread_.join();
    }
    scripted_server(const scripted_server&) = delete;
    scripted_server& operator=(const scripted_server&) = delete;

private:
    template <class Call, class Make>
    void add(Make make) {
        const std::string command(Call::command);
        rules_.on(command, [this, command, make](moebius::request& asked) {
            switch (next(command)) {
                case reply::fine:
                    asked.reply(wire::encode_reply(make()));
                    return;
                case reply::dropped:
                    asked.peer().close();  // nothing that is under way will be answered
                    return;
                case reply::session_ended:
                    asked.reply(failure(errc::session_ended));
                    return;
                case reply::not_found:
                    asked.reply(failure(errc::stream_not_found));
                    return;
                case reply::unauthorized:
                    asked.reply(failure(errc::unauthorized));
                    return;
                case reply::shutting_down:
                    asked.reply(failure(errc::shutting_down));
                    return;
                case reply::unreadable:
                    asked.reply(failure(errc::storage_failed));
                    return;
                case reply::overloaded:
                    asked.fail(moebius::errc::overloaded);
                    return;
            }
        });
    }
    static std::string failure(errc code) {
        return wire::encode_failure(std::make_exception_ptr(error(code, "as the script says")));
    }
    reply next(const std::string& command) {
        const auto found = script_.find(command);
        if (found == script_.end()) return reply::fine;
        const std::size_t at = std::min(asked_[command]++, found->second.size() - 1);
        return found->second[at];
    }

    std::map<std::string, std::vector<reply>> script_;
    std::map<std::string, std::size_t> asked_;
    moebius::loop loop_;
    moebius::command_router rules_;
    moebius::server server_;
    std::thread thread_;
};

class answers : public testing::Test {
protected:
    [[nodiscard]] std::string endpoint() const { return "ipc://" + directory.path() + "/socket"; }
    [[nodiscard]] client open() const {
        client_options options;
        options.request_timeout = 1s;
        return client::open(endpoint(), options);
    }
    template <class Call>
    static void expect(errc code, outcome result, Call call) {
        try {
            call();
            ADD_FAILURE() << "no error";
        } catch (const error& failure) {
            EXPECT_EQ(name(failure.code()), name(code)) << failure.what();
            EXPECT_EQ(name(failure.outcome()), name(result)) << failure.what();
        }
    }
    temporary_directory directory;
};

// The checkpoint may have been done before the server was killed; the next one lets nobody in.
TEST_F(answers, a_checkpoint_is_in_doubt_when_no_new_session_comes) {
    const scripted_server server(endpoint(), {{"tstreams.commit", {reply::dropped, reply::session_ended}},
                                              {"tstreams.open_session", {reply::fine, reply::overloaded}}});
    client store = open();
    auto producer = store.make_producer("s");
    expect(errc::outcome_unknown, outcome::unknown, [&] { producer.send("x"); });
}

TEST_F(answers, a_checkpoint_that_reached_nobody_was_not_done) {
    const scripted_server server(endpoint(), {{"tstreams.commit", {reply::session_ended}},
                                              {"tstreams.open_session", {reply::fine, reply::overloaded}}});
    client store = open();
    auto producer = store.make_producer("s");
    expect(errc::overloaded, outcome::not_applied, [&] { producer.send("x"); });
}

// The right was taken away between the two attempts: the second says nothing of the first.
TEST_F(answers, a_checkpoint_that_the_next_session_may_not_make_is_in_doubt) {
    const scripted_server server(endpoint(),
                                 {{"tstreams.commit", {reply::dropped, reply::session_ended, reply::unauthorized}}});
    client store = open();
    auto producer = store.make_producer("s");
    expect(errc::unauthorized, outcome::unknown, [&] { producer.send("x"); });
}

// The server stops, or cannot read, before it has looked whether the first attempt was done.
TEST_F(answers, a_checkpoint_that_the_next_server_cannot_look_for_is_in_doubt) {
    for (const auto& [said, code] :
         {std::pair(reply::shutting_down, errc::shutting_down), std::pair(reply::unreadable, errc::storage_failed)}) {
        const scripted_server server(endpoint(), {{"tstreams.commit", {reply::dropped, reply::session_ended, said}}});
        client store = open();
        auto producer = store.make_producer("s");
        expect(code, outcome::unknown, [&] { producer.send("x"); });
    }
}

// It is not there: perhaps because the earlier attempt has deleted it.
TEST_F(answers, what_no_server_remembers_is_in_doubt_in_the_next_session) {
    const scripted_server server(
        endpoint(), {{"tstreams.delete_stream", {reply::dropped, reply::session_ended, reply::not_found}}});
    client store = open();
    expect(errc::stream_not_found, outcome::unknown, [&] { store.delete_stream("s"); });
}

// An older instance may have been fenced by the earlier attempt.
TEST_F(answers, a_new_instance_that_the_next_session_refuses_is_in_doubt) {
    const std::vector<reply> refused_later{reply::dropped, reply::session_ended, reply::unauthorized};
    const scripted_server server(endpoint(), {{"tstreams.attach_consumer", refused_later},
                                              {"tstreams.attach_producer", refused_later},
                                              {"tstreams.accept_clock", refused_later}});
    client store = open();
    expect(errc::unauthorized, outcome::unknown,
           [&] { std::ignore = store.make_consumer("s", {.name = "c", .start = oldest}); });
    client other = open();
    expect(errc::unauthorized, outcome::unknown, [&] { std::ignore = other.make_producer("s", {.name = "p"}); });
    client third = open();
    expect(errc::unauthorized, outcome::unknown, [&] { third.accept_clock(); });
}

// Nothing is stored for it, so nothing can have been done.
TEST_F(answers, a_reader_without_a_name_that_the_next_session_refuses_was_not_attached) {
    const scripted_server server(
        endpoint(), {{"tstreams.attach_consumer", {reply::dropped, reply::session_ended, reply::unauthorized}}});
    client store = open();
    expect(errc::unauthorized, outcome::not_applied,
           [&] { std::ignore = store.make_consumer("s", {.start = oldest}); });
}

TEST_F(answers, a_first_answer_is_taken_as_it_is) {
    const scripted_server server(endpoint(), {{"tstreams.delete_stream", {reply::session_ended, reply::not_found}}});
    client store = open();
    expect(errc::stream_not_found, outcome::not_applied, [&] { store.delete_stream("s"); });
}

TEST_F(answers, a_lost_one_is_asked_for_again) {
    const scripted_server server(endpoint(), {{"tstreams.delete_stream", {reply::dropped, reply::fine}}});
    client store = open();
    store.delete_stream("s");
}

// A server that was restarted may have another time of day, by which it judges how old a request is.
TEST_F(answers, requests_are_made_by_the_time_of_the_server_that_is_there) {
    std::mutex guard;
    std::vector<wall_time> made;
    std::atomic<int> sessions = 0;
    const auto now = [] {
        return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
    };
    const auto server_now = [&] { return now() + sessions.load() * 2h; };
    moebius::loop loop;
    moebius::command_router rules;
    rules.on("tstreams.open_session", [&](moebius::request& asked) {
        wire::opened_session opened;
        opened.session = static_cast<core::session_id>(++sessions);
        opened.request_bytes_max = 1 << 20;
        opened.now = server_now();
        asked.reply(wire::encode_reply(opened));
    });
    rules.on("tstreams.find_stream", [](moebius::request& asked) {
        std::optional<stream_info> found(std::in_place);
        found->id = 1;
        found->partitions = 1;
        asked.reply(wire::encode_reply(found));
    });
    rules.on("tstreams.close_session",
             [](moebius::request& asked) { asked.reply(wire::encode_reply(wire::nothing{})); });
    rules.on("tstreams.commit", [&](moebius::request& asked) {
        wire::decoder from(asked.body().text());
        std::ignore = wire::decode_head(from);
        wire::commit_call call;
        from.fields_of(call);
        const std::lock_guard lock(guard);
        made.push_back(core::made_at(call.request.request));
        if (made.size() % 2 == 0)
            asked.reply(wire::encode_reply(core::commit_reply{{transaction_id(1)}}));
        else
            asked.reply(wire::encode_failure(std::make_exception_ptr(error(errc::session_ended, "restarted"))));
    });
    moebius::server server(loop, rules);
    server.bind(endpoint());
    std::thread thread([&] { server.run(); });
    {
        client store = open();
        auto producer = store.make_producer("s");
        for (int i = 0; i < 3; ++i) {
            const wall_time before = server_now();
            producer.send("x");
            const std::lock_guard lock(guard);
            EXPECT_EQ(made.size(), 2U) << "asked, and asked again";
            if (made.empty()) continue;
            EXPECT_GE(made.front(), before - 1min) << i;
            EXPECT_LE(made.front(), before + 1min) << i;
            made.clear();
        }
    }
    server.stop(0s);
    thread.join();
}

}  // namespace
}  // namespace tstreams::api_test
