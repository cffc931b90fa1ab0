// tstreams key new|show|allow|revoke|list
#include "cli/invocation.hpp"

#include "access/access_list.hpp"
#include "access/clients_file.hpp"
#include "access/files.hpp"

#include <moebius/error.hpp>
#include <moebius/security.hpp>
#include <nlohmann/json.hpp>

#include <sys/stat.h>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace tstreams::cli {
namespace {

constexpr const char* default_clients_file = "/etc/tstreams/clients";

// Moebius' errors, as the tool shows all others. None of them holds a secret.
template <class Action>
auto translated(Action action) {
    try {
        return action();
    } catch (const moebius::error& failure) {
        throw error(errc::invalid_argument, failure.what());
    }
}

// For commands that only read or change a file. What else is wrong with it is said by those who open it.
void must_be_there(const std::string& file) {
    struct stat found{};
    if (::lstat(file.c_str(), &found) != 0 && (errno == ENOENT || errno == ENOTDIR))
        throw not_found_error(file + ": " + std::strerror(errno));
}

CLI::Option* add_file(CLI::App& command, std::string& file) {
    file = default_clients_file;
    return command
        .add_option("--clients-file", file, "The file of clients that tstreamsd reads; also TSTREAMSD_CLIENTS_FILE")
        ->type_name("FILE")
        ->envname("TSTREAMSD_CLIENTS_FILE")
        ->capture_default_str();
}

void add_new(CLI::App& group, invocation& call) {
    const auto file = std::make_shared<std::string>();
    CLI::App* command =
        group.add_subcommand("new", "Make a pair of keys in a file that only you can read; print the public one");
    command->add_option("file", *file, "The file, which must not exist yet")->required()->type_name("FILE");
    command->footer("Example:\n  tstreams key new billing.key");
    command->callback([file, &call] {
        call.action = [file](const surroundings& here) {
            here.out.line(translated([&] {
                const moebius::key_pair made = moebius::generate_keys();
                moebius::write_key_file(*file, made);
                return made.public_key;
            }));
            return exit_code::success;
        };
    });
}

void add_show(CLI::App& group, invocation& call) {
    const auto file = std::make_shared<std::string>();
    CLI::App* command = group.add_subcommand("show", "Print the public key of a file of keys");
    command->add_option("file", *file, "The file")->required()->type_name("FILE");
    command->footer("Example:\n  tstreams key show billing.key");
    command->callback([file, &call] {
        call.action = [file](const surroundings& here) {
            must_be_there(*file);
            here.out.line(access::read_keys(*file).public_key);
            return exit_code::success;
        };
    });
}

struct allowing {
    std::string file, name, key, rights;
    std::vector<std::string> patterns;
};

void must_be_public_key(const std::string& text) {
    try {
        moebius::allowlist().add(text);
    } catch (const moebius::error&) {
        throw usage_error("--key: no public key; 'tstreams key show FILE' prints one, 40 characters of Z85");
    }
}

exit_code allow(const allowing& asked, const surroundings& here) {
    access::permission given;
    given.client = asked.name;
    given.public_key = asked.key;
    given.patterns = asked.patterns;
    if (!access::is_client_name(given.client))
        throw usage_error("'" + asked.name + "' is no name of a client: use 1 to 128 letters, digits, ., _ and -");
    if (asked.rights.empty() != asked.patterns.empty())
        throw usage_error("rights are given for streams: --rights read,offsets --streams 'orders-*'");
    if (asked.rights.empty() && asked.key.empty()) throw usage_error("say what to allow: --key, --rights, or both");
    if (!asked.key.empty()) must_be_public_key(asked.key);
    if (!asked.rights.empty()) {
        const std::optional<access::rights> rights = access::parse_rights(asked.rights);
        if (!rights) throw usage_error("--rights is all, or some of create,write,read,offsets,admin");
        given.rights = *rights;
    }
    if (!access::allow(asked.file, given))
        throw not_found_error(asked.file + ": client '" + asked.name + "' has no key yet: add --key");
    here.out.line("allowed; a running tstreamsd reads it at SIGHUP");
    return exit_code::success;
}

void add_allow(CLI::App& group, invocation& call) {
    const auto asked = std::make_shared<allowing>();
    CLI::App* command =
        group.add_subcommand("allow", "Let a key come, and give its client rights: a line in the file of clients");
    command->add_option("name", asked->name, "What the client is called")->required()->type_name("NAME");
    command->add_option("--key", asked->key, "Its public key, as 'tstreams key show' prints it")->type_name("KEY");
    command->add_option("--rights", asked->rights, "all, or some of create,write,read,offsets,admin")
        ->type_name("RIGHTS");
    command->add_option("--streams", asked->patterns, "For streams of these names; * stands for any characters")
        ->type_name("PATTERN");
    add_file(*command, asked->file);
    command->footer(
        "Example:\n  tstreams key allow billing --key \"$(tstreams key show billing.key)\" --rights read,offsets "
        "--streams 'orders-*'");
    command->callback(
        [asked, &call] { call.action = [asked](const surroundings& here) { return allow(*asked, here); }; });
}

void add_revoke(CLI::App& group, invocation& call) {
    const auto file = std::make_shared<std::string>();
    const auto whom = std::make_shared<std::string>();
    CLI::App* command = group.add_subcommand("revoke", "Take away one key, or all keys and rights of a client");
    command->add_option("whom", *whom, "A public key, or the name of a client")->required()->type_name("KEY|NAME");
    add_file(*command, *file);
    command->footer("Example:\n  tstreams key revoke billing");
    command->callback([file, whom, &call] {
        call.action = [file, whom](const surroundings& here) {
            must_be_there(*file);
            const std::size_t keys = access::revoke(*file, *whom);
            if (keys == 0)
                throw not_found_error(*file + ": no key and no client is '" + *whom + "'; see: tstreams key list");
            here.out.line("revoked " + std::to_string(keys) + (keys == 1 ? " key" : " keys") +
                          "; a running tstreamsd reads it at SIGHUP");
            return exit_code::success;
        };
    });
}

nlohmann::ordered_json to_json(const std::vector<access::access_list::grant>& grants) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const auto& one : grants) {
        nlohmann::ordered_json object;
        object["rights"] = access::to_string(one.rights);
        object["streams"] = one.patterns;
        list.push_back(std::move(object));
    }
    return list;
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& one : words) text += (text.empty() ? "" : " ") + one;
    return text;
}

void print_grants(output& out, const std::vector<access::access_list::grant>& grants) {
    for (const auto& one : grants) out.line("  allow " + access::to_string(one.rights) + " " + joined(one.patterns));
}

exit_code list(const std::string& file, bool json, const surroundings& here) {
    must_be_there(file);
    const access::access_list found = access::access_list::read(file);
    for (const auto& [name, one] : found.clients()) {
        if (json) {
            nlohmann::ordered_json object;
            object["client"] = name;
            object["keys"] = one.keys;
            object["allow"] = to_json(one.grants);
            here.out.line(object.dump());
            continue;
        }
        here.out.line(name);
        for (const std::string& key : one.keys) here.out.line("  key " + key);
        print_grants(here.out, one.grants);
    }
    if (found.for_all().empty()) return exit_code::success;
    if (json) {
        nlohmann::ordered_json object;
        object["client"] = "*";
        object["allow"] = to_json(found.for_all());
        here.out.line(object.dump());
    } else {
        here.out.line("* (every client)");
        print_grants(here.out, found.for_all());
    }
    return exit_code::success;
}

void add_list(CLI::App& group, invocation& call) {
    const auto file = std::make_shared<std::string>();
    const auto json = std::make_shared<bool>(false);
    CLI::App* command = group.add_subcommand("list", "The clients of a file, their public keys and rights");
    command->add_flag("--json", *json, "One JSON object per client");
    add_file(*command, *file);
    command->footer("Example:\n  tstreams key list");
    command->callback([file, json, &call] {
        call.action = [file, json](const surroundings& here) { return list(*file, *json, here); };
    });
}

}  // namespace

void add_key_commands(CLI::App& app, invocation& call) {
    CLI::App* group = app.add_subcommand("key", "Keys of clients and servers, and the rights of clients");
    group->require_subcommand(1);
    group->footer(
        "allow, revoke and list work on /etc/tstreams/clients, unless --clients-file or TSTREAMSD_CLIENTS_FILE says\n"
        "another one.\n\n"
        "Example:\n  tstreams key new billing.key");
    add_new(*group, call);
    add_show(*group, call);
    add_allow(*group, call);
    add_revoke(*group, call);
    add_list(*group, call);
}

}  // namespace tstreams::cli
