#include "cli/help.hpp"

#include <string_view>

namespace tstreams::cli {

namespace {

constexpr std::size_t name_columns = 24;
constexpr std::size_t text_columns = 80 - name_columns;

std::string wrapped(std::string_view text) {
    std::string result;
    while (text.size() > text_columns) {
        const std::size_t space = text.rfind(' ', text_columns);
        if (space == std::string_view::npos) break;
        result += std::string(text.substr(0, space)) + "\n";
        text.remove_prefix(space + 1);
    }
    return result + std::string(text);
}

}  // namespace

help_formatter::help_formatter() {
    column_width(name_columns);
    label("SUBCOMMAND", "COMMAND");
    label("Subcommands", "Commands");
}

// The placeholder of an option; a positional is its own one.
std::string help_formatter::make_option_opts(const CLI::Option* option) const {
    if (option->get_positional() || option->get_type_size() == 0) return {};
    const std::string type = option->get_type_name();
    return " " + type.substr(0, type.find(':'));
}

std::string help_formatter::make_option_desc(const CLI::Option* option) const {
    return wrapped(option->get_description());
}

std::string help_formatter::make_subcommand(const CLI::App* command) const {
    std::ostringstream out;
    CLI::detail::format_help(out, command->get_name(), wrapped(command->get_description()), name_columns);
    return out.str();
}

}  // namespace tstreams::cli
