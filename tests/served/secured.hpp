// A tstreamsd with keys, and clients with and without.
#pragma once

#include "access/access_list.hpp"
#include "core/frames.hpp"
#include "tests/served/raw_client.hpp"

#include <tstreams/client.hpp>

#include <gtest/gtest.h>

#include <map>
#include <thread>

namespace tstreams::served {

class secured : public testing::Test {
protected:
    void SetUp() override {
        for (const char* name : {"server", "root", "other"}) make_keys(name);
        clients_ = "key " + keys_["root"].public_key + " root\nallow root all *\n";
        write_clients();
    }

    void make_keys(const std::string& name) {
        keys_[name] = moebius::generate_keys();
        moebius::write_key_file(path(name + ".key"), keys_[name]);
    }
    [[nodiscard]] std::string path(const std::string& name) const { return directory_.path() + "/" + name; }
    [[nodiscard]] std::string endpoint() const { return "ipc://" + path("socket"); }
    void write_clients() { write_file(path("clients"), clients_); }
    void add(const std::string& name, const std::string& rights, const std::string& pattern) {
        if (!keys_.contains(name)) make_keys(name);
        clients_ += "key " + keys_[name].public_key + " " + name + "\n";
        if (!rights.empty()) clients_ += "allow " + name + " " + rights + " " + pattern + "\n";
        write_clients();
    }
    void serve() {
        daemon_.emplace(directory_.path(),
                        std::vector<std::string>{"--key-file", path("server.key"), "--clients-file", path("clients")});
    }
    void await_log(const std::string& text) const {
        const auto until = std::chrono::steady_clock::now() + 10s;
        while (daemon_->output().find(text) == std::string::npos) {
            ASSERT_LT(std::chrono::steady_clock::now(), until) << "never said: " << text;
            std::this_thread::sleep_for(1ms);
        }
    }
    [[nodiscard]] moebius::client_security security(const std::string& name) {
        return {keys_[name], keys_["server"].public_key};
    }
    [[nodiscard]] client_options options(const std::string& name) {
        client_options chosen;
        chosen.key_file = path(name + ".key");
        chosen.server_key = keys_["server"].public_key;
        return chosen;
    }
    [[nodiscard]] client open(const std::string& name) { return client::open(endpoint(), options(name)); }
    std::uint64_t make_stream(client& of, const std::string& name) {
        stream_options chosen;
        chosen.name = name;
        chosen.durability = durability::process();
        return of.create_stream(chosen).id;
    }

    temporary_directory directory_;
    std::map<std::string, moebius::key_pair> keys_;
    std::string clients_;
    std::optional<daemon> daemon_;
};

template <class Function>
errc code_of(Function function) {
    try {
        function();
    } catch (const error& failure) {
        return failure.code();
    }
    return errc{};
}

inline core::commit_request commit_of(std::uint64_t seed) {
    core::commit_request request;
    static std::uint64_t last = 0;
    request.request = core::make_request_id(
        std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now()), true, ++last, seed);
    return request;
}

// Of one item of one byte, opened and checkpointed in one step.
inline core::decision decision_for(std::uint64_t stream) {
    core::decision one;
    one.open.stream = stream;
    one.items = 1;
    one.bytes = 1;
    core::pack_item(one.inline_items, as_bytes("x"));
    return one;
}

}  // namespace tstreams::served
