// The command line of tstreamsd: where its settings come from, what it refuses before it opens anything, and its log.
#include "tests/served/raw_client.hpp"

#include <tstreams/client.hpp>

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <algorithm>
#include <array>
#include <cstdio>

namespace tstreams::served {
namespace {

struct ended {
    int status = -1;
    std::string text;  // both of its outputs
};

// `before` are variables: "TSTREAMSD_STORE=memory:".
ended run(const std::string& before, const std::string& arguments) {
    const std::string command = before + " timeout 20 " + TSTREAMSD + " " + arguments + " 2>&1";
    ended came;
    std::FILE* const from = ::popen(command.c_str(), "r");
    if (!from) throw std::runtime_error("popen failed");
    std::array<char, 4096> piece;
    for (std::size_t got; (got = std::fread(piece.data(), 1, piece.size(), from)) != 0;)
        came.text.append(piece.data(), got);
    came.status = WEXITSTATUS(::pclose(from));
    return came;
}

class options : public testing::Test {
protected:
    [[nodiscard]] std::string path(const std::string& name) const { return directory_.path() + "/" + name; }
    void expect_refused(const std::string& arguments, const std::string& because) const {
        const ended came = run("XDG_RUNTIME_DIR=" + directory_.path(), arguments + " --check-config");
        EXPECT_EQ(came.status, 2) << arguments;
        EXPECT_NE(came.text.find(because), std::string::npos) << arguments << ": " << came.text;
        EXPECT_EQ(std::count(came.text.begin(), came.text.end(), '\n'), 1) << came.text;
    }
    temporary_directory directory_;
};

TEST_F(options, come_from_the_command_line_the_environment_and_the_file) {
    write_file(path("toml"),
               "store = \"memory:\"\nitem-bytes = \"1MiB\"\nclients = 7\ngroup-members = 70\n"
               "listen = [\"ipc:///a\", \"ipc:///b\"]\n");
    const ended came = run("TSTREAMSD_CLIENTS=8 TSTREAMSD_GROUP_MEMBERS=80",
                           "--config " + path("toml") + " --clients 9 --print-config");
    EXPECT_EQ(came.status, 0) << came.text;
    for (const char* line : {"clients = 9\n", "group-members = 80\n", "item-bytes = 1048576\n", "store = 'memory:'\n",
                             "client-answers = 16384\n", "transaction-bytes = 68719476736\n"})
        EXPECT_NE(came.text.find(line), std::string::npos) << line << " in " << came.text;
    EXPECT_NE(came.text.find("ipc:///b"), std::string::npos) << came.text;
    EXPECT_EQ(run("TSTREAMSD_CONFIG=" + path("toml"), "--check-config").status, 0);
    EXPECT_EQ(run("TSTREAMSD_STORE=memory: TSTREAMSD_LISTEN=ipc:///a,ipc:///b", "--check-config").status, 0);
}

// As people and their formatters write it, and what is printed is such a file again.
TEST_F(options, of_a_file_are_toml) {
    write_file(path("toml"),
               "# ours\nstore = \"file:/a#b \\\"q\\\" \\u00e9\" # not a comment inside\n"
               "listen = [\n    'ipc:///a',\n    \"ipc:///b\", # two\n]\n"
               "clients = 1_000\nitem-bytes = 0x100000\nmust-exist = true\n");
    const ended came = run("", "--config " + path("toml") + " --print-config");
    EXPECT_EQ(came.status, 0) << came.text;
    for (const char* line : {"clients = 1000\n", "item-bytes = 1048576\n", "must-exist = true\n",
                             "store = 'file:/a#b \"q\" \u00e9'\n", "listen = [ 'ipc:///a', 'ipc:///b' ]\n"})
        EXPECT_NE(came.text.find(line), std::string::npos) << line << " in " << came.text;
    write_file(path("again"), came.text);
    EXPECT_EQ(run("", "--config " + path("again") + " --print-config").text, came.text);
    for (const char* text :
         {"clients = 1.5", "[limits]\nclients = 3", "clients =", "clients = []", "clients = [1, 2]",
          "drain = 2024-01-01", "listen = [['a']]", "clients = -5", "clients = 1\nclients = 2", "store = \"\\q\""}) {
        write_file(path("toml"), text);
        expect_refused("--store memory: --config " + path("toml"), path("toml"));
    }
    expect_refused("--store memory: --config " + directory_.path(), "cannot be read");
}

TEST_F(options, that_are_wrong_are_refused_in_a_line) {
    const std::string store = "--store file:" + path("store") + " ";
    expect_refused("", "--store");
    expect_refused("--store tcp://127.0.0.1:1", "file:PATH");
    expect_refused("--store " + path("store"), "file:");
    expect_refused(store + "--listen tcp://0.0.0.0:7420", "--key-file");
    expect_refused(store + "--listen tcp://*:7420", "--key-file");
    expect_refused(store + "--listen tcp://eth0:7420", "--key-file");
    expect_refused(store + "--listen tcp://localhost:7420", "--key-file");
    expect_refused(store + "--listen tcp://127.0.0.1.example.org:7420", "--key-file");
    expect_refused(store + "--listen tcp://127.0.0.1", "ADDRESS:PORT");
    expect_refused(store + "--listen tcp://127.0.0.1:99999", "ADDRESS:PORT");
    expect_refused(store + "--listen ipc://@abstract", "whole path");
    expect_refused(store + "--listen inproc://x", "ipc:///PATH");
    expect_refused(store + "--key-file " + path("key"), "go together");
    expect_refused(store + "--key-file " + path("key") + " --clients-file " + path("clients"), "No such file");
    expect_refused(store + "--clients 0", "--clients");
    expect_refused(store + "--clients many", "--clients");
    expect_refused(store + "--item-bytes 65MiB", "64 MiB");
    expect_refused(store + "--clients -1", "whole number");
    expect_refused(store + "--item-bytes lots", "not a size");
    expect_refused(store + "--item-bytes 0", "not a size");
    expect_refused(store + "--drain 3601", "3600 seconds");
    expect_refused(store + "--client-bytes 1000", "--item-bytes");
    expect_refused(store + "--metrics nonsense", "ADDRESS:PORT");
    expect_refused(store + "--metrics 0.0.0.0:9420", "--metrics-beyond-loopback");
    expect_refused(store + "--listen tcp://127.0.0.1:7420 --listen tcp://127.0.0.1:7420", "given twice");
    expect_refused(store + "--listen ipc://" + path("nowhere/socket"), "No such file");
    expect_refused(store + "--fly", "--fly");
    expect_refused(store + "--log-format xml", "--log-format");
    expect_refused(store + "--config " + path("nothing"), "cannot be read");
    write_file(path("toml"), "fly = 1\n");
    expect_refused(store + "--config " + path("toml"), "'fly'");
    write_file(path("toml"), "check-config = true\n");
    expect_refused(store + "--config " + path("toml"), "'check-config'");
    write_file(path("toml"), "clients = \"many\"\n");
    expect_refused(store + "--config " + path("toml"), path("toml"));
    EXPECT_FALSE(std::filesystem::exists(path("store"))) << "nothing was opened";
}

TEST_F(options, can_demand_that_the_store_is_there) {
    const std::string with = "--store file:" + path("store") + " --must-exist --listen ipc://" + path("socket");
    const ended came = run("", with);
    EXPECT_EQ(came.status, 1);
    EXPECT_NE(came.text.find("failed"), std::string::npos) << came.text;
    EXPECT_FALSE(std::filesystem::exists(path("store")));
    daemon made(directory_.path());
    EXPECT_NE(made.output().find("warning created store=file:" + path("store")), std::string::npos) << made.output();
    EXPECT_EQ(WEXITSTATUS(made.end(SIGTERM)), 0);
    EXPECT_NE(made.output().find("stopped"), std::string::npos) << made.output();
    daemon again(directory_.path(), {"--must-exist"});
    EXPECT_NE(again.output().find("info opened store=file:" + path("store")), std::string::npos) << again.output();
}

// Another store at the same socket would answer for this one.
TEST_F(options, do_not_take_a_socket_from_another_server) {
    const daemon first(directory_.path());
    const ended second = run("", "--store memory: --listen ipc://" + path("socket"));
    EXPECT_EQ(second.status, 1);
    EXPECT_NE(second.text.find("another process listens there"), std::string::npos) << second.text;
    EXPECT_TRUE(client::open("ipc://" + path("socket")).list_streams().streams.empty());
}

TEST_F(options, are_checked_with_their_keys) {
    const moebius::key_pair keys = moebius::generate_keys();
    moebius::write_key_file(path("key"), keys);
    write_file(path("clients"), "key " + keys.public_key + " a\nallow a all *\n");
    const std::string with =
        "--store memory: --listen tcp://0.0.0.0:7420 --key-file " + path("key") + " --clients-file " + path("clients");
    EXPECT_EQ(run("", with + " --check-config").status, 0);
    ::chmod(path("key").c_str(), 0644);
    expect_refused(with, "chmod go-rwx");
    ::chmod(path("key").c_str(), 0600);
    write_file(path("clients"), "allow a all *\n");
    expect_refused(with, "has rights and no key");
    write_file(path("key"), keys.secret_key + "\n");
    expect_refused(with, "not a file of keys");
    EXPECT_EQ(run("", with + " --check-config").text.find(keys.secret_key), std::string::npos);
}

TEST_F(options, default_to_a_socket_in_a_directory_for_its_owner) {
    const std::string serve = "timeout -s TERM 2 " TSTREAMSD " --store memory: --log-format json";
    const std::string command = "env -u RUNTIME_DIRECTORY XDG_RUNTIME_DIR=" + directory_.path() + " sh -c '" + serve +
                                "' > " + path("log") + " 2>&1";
    EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 124);
    struct stat found{};
    ASSERT_EQ(::stat(path("tstreams").c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777U, 0700U);
    std::ifstream log(path("log"));
    std::vector<std::string> events;
    for (std::string line; std::getline(log, line);) {
        EXPECT_TRUE(line.starts_with("{\"time\":\"20") && line.ends_with("}")) << line;
        const std::size_t from = line.find("\"event\":\"") + 9;
        events.push_back(line.substr(from, line.find('"', from) - from));
    }
    EXPECT_EQ(events, (std::vector<std::string>{"starting", "opened", "listening", "ready", "stopping", "stopped"}));
    ::chmod(path("tstreams").c_str(), 0750);
    EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 2) << "others may enter it";
}

TEST_F(options, of_loopback_without_keys_are_warned_of) {
    daemon open(directory_.path(), {"--listen", "tcp://127.0.0.1:0"});
    EXPECT_NE(open.output().find(" warning unprotected endpoint=tcp://127.0.0.1:"), std::string::npos) << open.output();
    EXPECT_EQ(open.output().find(" unprotected endpoint=ipc"), std::string::npos);
}

}  // namespace
}  // namespace tstreams::served
