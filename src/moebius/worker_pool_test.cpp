// A pool of worker processes behind a server: patterns, load, cancellation, and what happens when processes die, hang
// or freeze. Real processes: this program is front and worker, and in one test a front that is killed.
#include "moebius/test_server.hpp"

#include <moebius/worker_pool.hpp>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>

namespace {

using namespace moebius;
using namespace moebius::test;
using detail::kind;

// -- the worker's side --------------------------------------------------------------------------------------

void append(const std::string& path, std::string_view text) {
    std::ofstream(path, std::ios::app) << text;
}

std::chrono::milliseconds as_time(const message& body) {
    return std::chrono::milliseconds(std::stoi(std::string(body.text())));
}

task<> later(request asked) {
    co_await moebius::sleep_for(as_time(asked.body()));
    message pid(std::to_string(getpid()));
    co_await asked.reply(std::move(pid));
}

task<> count(request asked) {
    const int end =
        asked.binary() && !asked.body().text().starts_with('{') ? std::stoi(std::string(asked.body().text())) : 3;
    for (int i = 0; i < end; ++i) {
        message item(std::to_string(i));
        co_await asked.write(std::move(item));
    }
    co_await asked.finish();
}

// Waits for ever, and writes into the file named in its body when it is destroyed.
task<> wait_for_cancel(request asked) {
    struct on_exit {
        std::string path;
        ~on_exit() { append(path, "cancelled"); }
    } const mark{std::string(asked.body().text())};
    append(mark.path, "begun ");
    co_await moebius::sleep_for(1h);
}

task<> crash_later(request asked) {
    co_await moebius::sleep_for(as_time(asked.body()));
    std::raise(SIGKILL);
}

void add_work(command_router& work) {
    work.on("pid", [](request& asked) { asked.reply(std::to_string(getpid())); });
    work.on("echo", [](request& asked) { asked.reply(asked.take_body()); });
    work.on("throw", [](request&) { throw std::runtime_error("a secret"); });
    work.on("nothing", [](request&) {});
    work.on("note", [](request& asked) { append(std::string(asked.body().text()), asked.one_way() ? "1" : "0"); });
    work.on("block", [](request& asked) {
        std::this_thread::sleep_for(as_time(asked.body()));
        asked.reply(std::to_string(getpid()));
    });
    work.on("crash", [](request&) { std::raise(SIGKILL); });
    work.on("crash_later", crash_later);
    work.on("send", [](request& asked) { asked.reply(name_of(asked.peer().try_send(message()))); });
    work.on("later", later);
    work.on("count", count);
    work.on("cancel", wait_for_cancel);
}

// -- the front's side ---------------------------------------------------------------------------------------

struct front {
    explicit front(worker_pool_options options = {}, std::size_t ready = 0)
        : one({}, {.log = [](std::string_view) {}}), pool(std::in_place, one.home, options) {
        one.routes.otherwise(pool->handler(), strategy::concurrent);
        expected = ready > 0 ? ready : options.workers;
    }
    ~front() {
        one.stop();
        pool.reset();
    }
    std::string serve() {
        const std::string endpoint = one.serve();
        EXPECT_TRUE(eventually([this] { return metrics().ready == expected; }));
        return endpoint;
    }
    worker_pool_metrics metrics() {
        return one.on_loop([this] { return pool->metrics(); });
    }
    std::vector<worker_status> workers() {
        return one.on_loop([this] { return pool->workers(); });
    }

    served one;
    std::optional<worker_pool> pool;
    std::size_t expected = 0;
};

// A file that a worker writes.
struct note {
    std::string path = std::filesystem::temp_directory_path() / ("moebius-note-" + std::to_string(getpid()));
    note() { std::filesystem::remove(path); }
    ~note() { std::filesystem::remove(path); }
    [[nodiscard]] std::string text() const {
        std::ifstream file(path);
        std::string all;
        std::getline(file, all);
        return all;
    }
};

// Neither a process nor only what is left of one.
bool runs(int pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    if (!std::getline(file, line)) return false;
    return line.at(line.rfind(')') + 2) != 'Z';
}

TEST(worker_pool, serves_the_three_patterns) {
    front all;
    blocking_client client(all.serve());
    EXPECT_NE(client.call("pid", {}, patience).text(), std::to_string(getpid()));
    for (const std::size_t bytes : {0U, 10U, 100'000U, 900'000U}) {
        const std::string body(bytes, 'x');
        EXPECT_EQ(client.call("echo", message(body), patience).text(), body);
    }
    int next = 0;
    client.stream("count", message(std::string_view("2000")), patience, [&](message item) {
        EXPECT_EQ(item.text(), std::to_string(next++));
        return true;
    });
    EXPECT_EQ(next, 2000);
    const note written;
    client.notify("note", message(written.path), patience);
    EXPECT_TRUE(eventually([&] { return written.text() == "1"; }));
    EXPECT_TRUE(eventually([&] { return all.metrics().in_flight == 0; }));
    EXPECT_EQ(all.metrics().answered, all.metrics().dispatched);
}

TEST(worker_pool, serves_texts) {
    front all;
    dealer client(all.serve());
    EXPECT_EQ(client.ask(R"({"command":"echo"})"), R"({"command":"echo"})");
    client.send(R"({"command":"count"})");
    for (const char* item : {"0", "1", "2"}) EXPECT_EQ(client.receive(), item);
    EXPECT_NE(client.ask(R"({"command":"unknown"})").find("unroutable"), std::string::npos);
    EXPECT_NE(client.ask(R"({"command":"throw"})").find("handler_failed"), std::string::npos);
    client.send(R"({"command":"nothing"})");
    EXPECT_TRUE(client.silent());
}

TEST(worker_pool, errors_travel) {
    front all;
    dealer client(all.serve());
    const auto code_of = [&](std::string_view command, std::uint32_t credit = 0) {
        client.request(1, command, "3", credit);
        return client.receive_answer().code;
    };
    EXPECT_EQ(code_of("throw"), errc::handler_failed);
    EXPECT_EQ(code_of("unknown"), errc::unroutable);
    EXPECT_EQ(code_of("nothing"), errc::unanswered);
    EXPECT_EQ(code_of("count"), errc::not_a_stream);
    client.request(2, "send");
    EXPECT_EQ(client.receive_answer().body, "peer_gone");
}

TEST(worker_pool, a_streams_credit_passes_through) {
    front all;
    dealer client(all.serve());
    client.request(1, "count", "2000", 2);
    EXPECT_EQ(client.receive_answer().body, "0");
    EXPECT_EQ(client.receive_answer().body, "1");
    EXPECT_TRUE(client.silent());
    EXPECT_EQ(all.metrics().in_flight, 1U) << "the worker waits for its own credit, which is less than 2000";
    client.control(kind::credit, 1, 10'000);
    for (int i = 2; i < 2000; ++i) ASSERT_EQ(client.receive_answer().body, std::to_string(i));
    EXPECT_EQ(client.receive_answer().what, kind::end);
    EXPECT_TRUE(eventually([&] { return all.metrics().in_flight == 0; }));
}

TEST(worker_pool, a_killed_worker_is_noticed_its_requests_answered_and_it_is_restarted) {
    front all({.workers = 2, .in_flight_max = 2, .restart_first = 20ms});
    dealer client(all.serve());
    for (std::uint64_t id = 1; id <= 4; ++id) client.request(id, "later", "600");
    client.request(5, "pid");
    ASSERT_TRUE(eventually([&] { return all.metrics().in_flight == 4 && all.metrics().queued == 1; }));
    const std::vector<worker_status> before = all.workers();
    const auto killed = std::chrono::steady_clock::now();
    ASSERT_EQ(kill(before.at(0).pid, SIGKILL), 0);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(client.receive_answer().code, errc::peer_gone);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - killed;
    std::cout << "answered " << took.count() << " ms after the kill\n";
    EXPECT_LT(took, 400ms);
    std::set<std::string> pids;
    for (int i = 0; i < 3; ++i) {
        const dealer::answer got = client.receive_answer();
        EXPECT_EQ(got.code, errc::none) << got.id;
        pids.insert(got.body);
    }
    EXPECT_TRUE(pids.contains(std::to_string(before.at(1).pid)));
    EXPECT_FALSE(pids.contains(std::to_string(before.at(0).pid)));
    ASSERT_TRUE(eventually([&] { return all.metrics().ready == 2; }));
    EXPECT_NE(all.workers().at(0).pid, before.at(0).pid);
    EXPECT_EQ(all.workers().at(1).pid, before.at(1).pid);
    EXPECT_EQ(all.metrics().lost, 2U);
    EXPECT_EQ(all.metrics().workers_lost, 1U);
    EXPECT_EQ(all.metrics().workers_silent, 0U);
}

TEST(worker_pool, a_worker_that_kills_itself_again_and_again_harms_nobody_else) {
    front all({.workers = 2, .restart_first = 1ms, .restart_most = 10ms});
    blocking_client client(all.serve());
    for (int i = 0; i < 8; ++i) {
        try {
            client.call("crash", {}, patience);
            ADD_FAILURE() << "a dead worker answered";
        } catch (const error& failure) {
            EXPECT_EQ(failure.code(), errc::peer_gone) << failure.what();
        }
        EXPECT_EQ(client.call("echo", message(std::string_view("x")), patience).text(), "x");
    }
    EXPECT_EQ(all.metrics().workers_lost, 8U);
    EXPECT_TRUE(eventually([&] { return all.metrics().ready == 2; }));
}

// The front is held up until the worker has answered all and is dead. It reads answers in parts, and between two of
// them it hears of the death: whoever buries the worker at once loses the answers of the other parts.
TEST(worker_pool, what_a_worker_answered_before_it_died_is_not_lost) {
    constexpr std::uint64_t answers = 500;
    front all({.workers = 1, .in_flight_max = answers + 1});
    all.one.routes.on("stall", [](request&) { std::this_thread::sleep_for(300ms); }, strategy::concurrent);
    dealer client(all.serve());
    for (std::uint64_t id = 1; id <= answers; ++id) client.request(id, "echo", "x");
    client.request(answers + 1, "crash_later", "50");
    client.request(answers + 2, "stall");
    std::uint64_t answered = 0;
    errc last = errc::none;
    for (std::uint64_t left = answers + 2; left > 0; --left) {
        const dealer::answer got = client.receive_answer();
        if (got.id == answers + 1) last = got.code;
        answered += got.id <= answers && got.code == errc::none;
    }
    EXPECT_EQ(answered, answers);
    EXPECT_EQ(last, errc::peer_gone);
    EXPECT_EQ(all.metrics().lost, 1U);
}

TEST(worker_pool, a_worker_that_hangs_or_is_frozen_is_replaced) {
    front all({.workers = 1, .silent_max = 500ms, .restart_first = 1ms});
    dealer client(all.serve());
    client.request(1, "block", "100");
    EXPECT_EQ(client.receive_answer().code, errc::none) << "a function may take less than silent_max";
    client.request(2, "block", "3600000");
    EXPECT_EQ(client.receive_answer().code, errc::peer_gone);
    EXPECT_EQ(all.metrics().workers_silent, 1U);
    client.request(3, "pid");
    const int pid = std::stoi(client.receive_answer().body);
    ASSERT_EQ(kill(pid, SIGSTOP), 0);
    client.request(4, "pid");
    EXPECT_EQ(client.receive_answer().code, errc::peer_gone);
    EXPECT_FALSE(runs(pid));
    client.request(5, "pid");
    EXPECT_EQ(client.receive_answer().code, errc::none);
    EXPECT_EQ(all.metrics().workers_lost, 2U);
}

TEST(worker_pool, the_queue_is_bounded) {
    front all({.workers = 1, .in_flight_max = 1, .queue_max = 2});
    dealer client(all.serve());
    for (std::uint64_t id = 1; id <= 4; ++id) client.request(id, "block", "50");
    const dealer::answer refused = client.receive_answer();
    EXPECT_EQ(refused.id, 4U);
    EXPECT_EQ(refused.code, errc::overloaded);
    for (std::uint64_t id = 1; id <= 3; ++id) EXPECT_EQ(client.receive_answer().id, id);
    EXPECT_EQ(all.metrics().refused, 1U);

    front small({.workers = 1, .in_flight_max = 1, .queue_bytes = 1000});
    dealer other(small.serve());
    other.request(1, "block", "50");
    other.request(2, "echo", std::string(800, 'x'));
    other.request(3, "echo", std::string(800, 'x'));
    EXPECT_EQ(other.receive_answer().code, errc::overloaded);
}

TEST(worker_pool, cancellation_and_strategies_reach_the_worker) {
    front all({.workers = 1});
    all.one.routes.on("cancel", all.pool->handler(), strategy::replace);
    all.one.routes.on("block", all.pool->handler(), strategy::concurrent, 50ms);
    dealer client(all.serve());
    const note written;
    client.request(1, "cancel", written.path);
    ASSERT_TRUE(eventually([&] { return written.text() == "begun "; }));
    client.control(kind::cancel, 1);
    EXPECT_EQ(client.receive_answer().code, errc::cancelled);
    EXPECT_TRUE(eventually([&] { return written.text() == "begun cancelled"; }));
    client.request(2, "cancel", written.path);
    client.request(3, "cancel", written.path);
    EXPECT_EQ(client.receive_answer().code, errc::replaced);
    const std::size_t bytes = std::string("begun cancelledbegun begun cancelled").size();  // the last two in any order
    EXPECT_TRUE(eventually([&] { return written.text().size() == bytes; })) << written.text();
    client.close();
    EXPECT_TRUE(eventually([&] { return all.metrics().in_flight == 0; })) << "the client's departure cancels, too";
    EXPECT_EQ(all.metrics().abandoned, 3U);

    dealer other(all.one.node.endpoint());
    other.request(1, "block", "300");
    EXPECT_EQ(other.receive_answer().code, errc::timed_out);
    EXPECT_EQ(all.metrics().in_flight, 1U) << "the worker is still in its function";
    EXPECT_TRUE(eventually([&] { return all.metrics().in_flight == 0; }));
}

task<> forward_with_name(worker_pool& pool, request asked) {
    message body(std::string(asked.peer().name()));
    co_await pool.forward(std::move(asked), "echo", std::move(body));
}

TEST(worker_pool, a_handler_decides_what_the_worker_gets) {
    front all({.workers = 1});
    all.one.routes.on("whoami", [&](request asked) { return forward_with_name(*all.pool, std::move(asked)); });
    blocking_client client(all.serve(), {.name = "Jo"});
    EXPECT_EQ(client.call("whoami", {}, patience).text(), "Jo");
}

// -- load ---------------------------------------------------------------------------------------------------

// All at once: every fourth request blocks its worker for 20 ms, the others for 1 ms.
std::chrono::duration<double, std::milli> time_of_mixed_load(const std::string& endpoint) {
    constexpr std::uint64_t requests = 120;
    dealer client(endpoint);
    const auto begun = std::chrono::steady_clock::now();
    for (std::uint64_t id = 1; id <= requests; ++id) client.request(id, "block", id % 4 == 0 ? "20" : "1");
    for (std::uint64_t id = 1; id <= requests; ++id) EXPECT_EQ(client.receive_answer().code, errc::none);
    return std::chrono::steady_clock::now() - begun;
}

TEST(worker_pool, least_loaded_beats_round_robin_on_handlers_that_block) {
    constexpr unsigned workers = 4;
    front least({.workers = workers});
    const auto of_least = time_of_mixed_load(least.serve());

    // Round-robin: as many pools of one worker, each of which takes whatever it is given.
    served turns;
    std::vector<std::unique_ptr<worker_pool>> pools;
    for (unsigned i = 0; i < workers; ++i)
        pools.push_back(
            std::make_unique<worker_pool>(turns.home, worker_pool_options{.workers = 1, .in_flight_max = 1000}));
    turns.routes.otherwise(
        [&pools, next = 0U](request asked) mutable { return pools[next++ % workers]->forward(std::move(asked)); },
        strategy::concurrent);
    const std::string endpoint = turns.serve();
    ASSERT_TRUE(eventually([&] {
        return turns.on_loop([&] {
            std::size_t ready = 0;
            for (const auto& one : pools) ready += one->metrics().ready;
            return ready == workers;
        });
    }));
    const auto of_turns = time_of_mixed_load(endpoint);
    turns.stop();
    pools.clear();
    std::cout << "least loaded " << of_least.count() << " ms, round-robin " << of_turns.count() << " ms\n";
    EXPECT_LT(of_least, of_turns);
}

// -- start and end ------------------------------------------------------------------------------------------

std::size_t directories() {
    std::size_t found = 0;
    for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::temp_directory_path()))
        found += std::filesystem::exists(entry.path() / "workers") ? 1 : 0;
    return found;
}

TEST(worker_pool, its_end_leaves_nobody) {
    const std::string marker = std::filesystem::temp_directory_path() / ("moebius-tmp-" + std::to_string(getpid()));
    std::filesystem::create_directory(marker);
    setenv("TMPDIR", marker.c_str(), 1);
    std::vector<worker_status> workers;
    const auto end = [&](bool one_blocks) {
        front all({.workers = 3, .stop_grace = one_blocks ? 200ms : 10'000ms});
        dealer client(all.serve());
        workers = all.workers();
        EXPECT_EQ(directories(), 1U);
        if (one_blocks) {
            client.request(1, "block", "3600000");
            EXPECT_TRUE(eventually([&] { return all.metrics().in_flight == 1; }));
        }
        const auto begun = std::chrono::steady_clock::now();
        all.one.stop();
        all.pool.reset();
        return std::chrono::steady_clock::now() - begun;
    };
    for (const bool one_blocks : {false, true}) {
        EXPECT_LT(end(one_blocks), 8s) << "workers that do nothing do not use up the grace";
        for (const worker_status& one : workers) {
            EXPECT_GT(one.pid, 0);
            EXPECT_NE(kill(one.pid, 0), 0) << one.pid;
        }
        EXPECT_TRUE(std::filesystem::is_empty(marker));
    }
    unsetenv("TMPDIR");
    std::filesystem::remove_all(marker);
}

TEST(worker_pool, what_is_in_flight_at_its_end_is_answered) {
    front all({.workers = 1, .in_flight_max = 1, .stop_grace = 10ms});
    dealer client(all.serve());
    client.request(1, "block", "3600000");
    client.request(2, "echo");
    ASSERT_TRUE(eventually([&] { return all.metrics().in_flight == 1 && all.metrics().queued == 1; }));
    all.one.on_loop([&] { all.pool.reset(); });
    for (int i = 0; i < 2; ++i) EXPECT_EQ(client.receive_answer().code, errc::stopping);
    client.request(3, "echo");
    EXPECT_EQ(client.receive_answer().code, errc::stopping);
}

TEST(worker_pool, workers_end_with_a_front_that_is_killed) {
    std::array<int, 2> ends{};
    ASSERT_EQ(pipe(ends.data()), 0);
    std::string program = "/proc/self/exe", mode = "--front";
    std::array<char*, 3> arguments{program.data(), mode.data(), nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    pid_t pid = 0;
    ASSERT_EQ(posix_spawn(&pid, program.c_str(), &actions, nullptr, arguments.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    std::string said;
    for (char one = 0; read(ends[0], &one, 1) == 1 && one != '\n';) said += one;
    close(ends[0]);
    std::istringstream words(said);
    std::vector<int> workers;
    std::string directory;
    words >> directory;
    for (int worker = 0; words >> worker;) workers.push_back(worker);
    ASSERT_EQ(workers.size(), 3U) << said;
    for (const int worker : workers) EXPECT_TRUE(runs(worker));
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    for (const int worker : workers) EXPECT_TRUE(eventually([&] { return !runs(worker); })) << worker;
    EXPECT_TRUE(eventually([&] { return std::filesystem::is_empty(directory); }));
    std::filesystem::remove_all(directory);
}

// A front with three workers, of which one is in a function for ever: tells their processes, and waits to be killed.
int run_front() {
    std::string directory = std::filesystem::temp_directory_path() / "moebius-front-XXXXXX";
    if (!mkdtemp(directory.data())) return 1;
    setenv("TMPDIR", directory.c_str(), 1);
    front all({.workers = 3});
    dealer client(all.serve());
    client.request(1, "block", "3600000");
    if (!eventually([&] { return all.metrics().in_flight == 1; })) return 1;
    std::cout << directory;
    for (const worker_status& one : all.workers()) std::cout << ' ' << one.pid;
    std::cout << std::endl;
    std::this_thread::sleep_for(60s);
    return 1;
}

TEST(worker_pool, a_program_that_ends_at_once_is_restarted_with_back_off) {
    front all({.workers = 1, .command = {"false"}, .restart_first = 20ms, .restart_most = 80ms});
    all.one.routes.on("limited", all.pool->handler(), strategy::concurrent, 500ms);
    dealer client(all.one.serve());
    client.request(1, "limited");
    EXPECT_EQ(client.receive_answer().code, errc::timed_out) << "nobody was there to serve it";
    EXPECT_GE(all.metrics().workers_lost, 2U);
    EXPECT_LE(all.metrics().workers_lost, 9U) << "20 + 40 + 80 + 80 + ... ms between the starts";
    EXPECT_EQ(all.metrics().ready, 0U);
}

TEST(worker_pool, mistakes_are_told) {
    loop home;
    const auto code_of = [&](const worker_pool_options& options) {
        try {
            const worker_pool made(home, options);
        } catch (const error& failure) {
            return failure.code();
        }
        return errc::none;
    };
    EXPECT_EQ(code_of({.workers = 0}), errc::invalid_state);
    EXPECT_EQ(code_of({.in_flight_max = 0}), errc::invalid_state);
    EXPECT_EQ(code_of({.command = {"/nowhere/at/all"}}), errc::transport);
    command_router work;
    EXPECT_FALSE(is_worker());
    EXPECT_THROW(run_worker(home, work), error);
    setenv("MOEBIUS_WORKER", "1000 0.1 ipc:///nowhere", 1);
    EXPECT_TRUE(is_worker());
    EXPECT_EQ(code_of({}), errc::invalid_state) << "a worker that starts workers that start workers";
    unsetenv("MOEBIUS_WORKER");
}

}  // namespace

int main(int argc, char** argv) {
    if (moebius::is_worker()) {
        moebius::loop home({.log = [](std::string_view) {}});
        moebius::command_router work;
        add_work(work);
        return moebius::run_worker(home, work);
    }
    if (argc == 2 && std::string_view(argv[1]) == "--front") return run_front();
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
