// How --help looks: placeholders without the library's remarks, descriptions within 80 columns.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace tstreams::cli {

class help_formatter : public CLI::Formatter {
public:
    help_formatter();
    std::string make_option_opts(const CLI::Option* option) const override;
    std::string make_option_desc(const CLI::Option* option) const override;
    std::string make_subcommand(const CLI::App* command) const override;
};

}  // namespace tstreams::cli
