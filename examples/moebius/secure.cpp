// A server beyond this machine: keys in files, a list of the clients that may come, and one that may not.
#include <moebius/moebius.hpp>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

using namespace std::chrono_literals;

namespace {

// Once, by hand or by a tool: everybody makes keys of their own and tells the public one.
void prepare(const std::filesystem::path& folder) {
    for (const char* who : {"server", "alice", "mallory"})
        moebius::write_key_file(folder / who, moebius::generate_keys());
    std::ofstream(folder / "clients") << "# who may come\n"
                                      << moebius::read_key_file(folder / "alice").public_key << " alice\n";
}

void ask_as(const char* who, const std::filesystem::path& folder, const std::string& endpoint) {
    moebius::blocking_client_options options;
    options.security = {moebius::read_key_file(folder / who), moebius::read_key_file(folder / "server").public_key};
    try {
        std::printf("%s\n", std::string(moebius::ask(endpoint, "hello", "", 5s, options).text()).c_str());
    } catch (const moebius::error& failure) {
        std::printf("%s: %s\n", who, std::string(moebius::name_of(failure.code())).c_str());
    }
}

}  // namespace

int main() {
    std::string folder = (std::filesystem::temp_directory_path() / "moebius-secure-XXXXXX").string();
    if (!mkdtemp(folder.data())) return 1;
    prepare(folder);

    moebius::command_router routes;
    routes.on("hello", [](moebius::request& asked) { asked.reply("hello " + std::string(asked.peer().user_id())); });
    moebius::loop loop;
    try {
        moebius::server open(loop, routes);
        open.bind("tcp://0.0.0.0:*");
    } catch (const moebius::error& failure) {
        std::printf("without keys: %s\n", std::string(moebius::name_of(failure.code())).c_str());
    }

    moebius::server_options options;
    options.security = {moebius::read_key_file(folder + "/server").secret_key,
                        moebius::read_allowlist(folder + "/clients")};
    moebius::server server(loop, routes, options);
    server.bind("tcp://0.0.0.0:*");
    const std::string endpoint = "tcp://127.0.0.1" + server.endpoint().substr(server.endpoint().rfind(':'));
    std::thread serving([&server] { server.run(); });
    ask_as("alice", folder, endpoint);
    ask_as("mallory", folder, endpoint);
    server.stop();
    serving.join();
    std::filesystem::remove_all(folder);
}

// Prints:
//     without keys: unprotected
//     hello alice
//     mallory: unauthorized
