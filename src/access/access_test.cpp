// What the file of clients says, what it refuses, and what the tool makes of it.
#include "access/access_list.hpp"
#include "access/clients_file.hpp"
#include "access/files.hpp"

#include <tstreams/error.hpp>

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace tstreams::access {
namespace {

std::string new_key() {
    return moebius::generate_keys().public_key;
}

TEST(pattern, a_star_is_any_number_of_characters) {
    const struct {
        const char* pattern;
        const char* name;
        bool fits;
    } cases[] = {{"a", "a", true},      {"a", "ab", false},        {"a*", "a", true},          {"a*", "abc", true},
                 {"*c", "abc", true},   {"*c", "abd", false},      {"a*c", "ac", true},        {"a*c", "abcbc", true},
                 {"a*c", "ab", false},  {"*", "", true},           {"*", "x", true},           {"**", "x", true},
                 {"a.b", "axb", false}, {"*a*b*", "xxaxxb", true}, {"*a*b*", "xxbxxa", false}, {"", "a", false}};
    for (const auto& one : cases) EXPECT_EQ(matches(one.pattern, one.name), one.fits) << one.pattern << " " << one.name;
    // A pattern that makes naive matchers slow.
    std::string pattern, name(128, 'a');
    for (int i = 0; i < 32; ++i) pattern += "a*";
    EXPECT_FALSE(matches(pattern + "b", name));
}

TEST(rights, are_words) {
    EXPECT_EQ(parse_rights("all"), rights::all());
    EXPECT_EQ(parse_rights("read,offsets"), right::read | right::offsets);
    EXPECT_EQ(to_string(right::offsets | right::create), "create,offsets");
    for (const char* bad : {"", "read,", ",read", "Read", "read offsets", "all,read"})
        EXPECT_FALSE(parse_rights(bad).has_value()) << bad;
}

TEST(access_list, gives_what_it_says_and_nothing_else) {
    const std::string one = new_key(), two = new_key(), three = new_key();
    const access_list list =
        access_list::parse("# clients\n\nkey " + one + " billing\r\nkey  " + two + "\tbilling\nkey " + three +
                               " audit\nallow billing read,offsets orders-* payments\n"
                               "allow billing write invoices\nallow * read public-*\n"
                               "allow audit all *",
                           "clients");
    EXPECT_EQ(list.keys().size(), 3U);
    EXPECT_EQ(*list.keys().find(two), "billing");
    EXPECT_EQ(list.of("billing", "orders-eu"), right::read | right::offsets);
    EXPECT_EQ(list.of("billing", "payments"), right::read | right::offsets);
    EXPECT_EQ(list.of("billing", "payments2"), rights());
    EXPECT_EQ(list.of("billing", "invoices"), rights(right::write));
    EXPECT_EQ(list.of("billing", "public-1"), rights(right::read));
    EXPECT_EQ(list.of("nobody", "public-1"), rights());
    EXPECT_EQ(list.of("audit", "x"), rights::all());
    EXPECT_EQ(list.of_store("audit"), rights::all());
    EXPECT_EQ(list.of_store("billing"), rights());
    EXPECT_FALSE(list.knows("nobody"));
}

TEST(access_list, refuses_a_file_as_a_whole_and_names_the_line) {
    const std::string key = new_key(), good = "key " + key + " a\n";
    for (const std::string& bad :
         {std::string("allow a read x\n"), std::string("key short b\n"), "key " + key + " b\n", std::string("let a\n"),
          "key " + new_key() + "\n", "key " + new_key() + " b c\n", "key " + new_key() + " b/c\n",
          std::string("allow a read\n"), std::string("allow a fly x\n"), std::string("allow a read x/y\n"),
          std::string("allow a/b read x\n"), std::string("allow b read x\n")}) {
        const bool fine = bad == "allow a read x\n";
        try {
            std::ignore = access_list::parse(good + bad, "clients");
            EXPECT_TRUE(fine) << bad;
        } catch (const error& failure) {
            EXPECT_FALSE(fine) << bad;
            EXPECT_EQ(failure.code(), errc::invalid_argument);
            EXPECT_TRUE(std::string(failure.what()).starts_with("clients:")) << failure.what();
        }
    }
}

class clients_file : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "tstreams-access-XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        directory_ = pattern;
        file_ = directory_ + "/clients";
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }
    [[nodiscard]] std::string text() const {
        std::ifstream from(file_);
        return {std::istreambuf_iterator<char>(from), {}};
    }
    std::string directory_, file_;
};

TEST_F(clients_file, is_changed_line_by_line) {
    const std::string one = new_key(), two = new_key();
    EXPECT_TRUE(allow(file_, {"billing", one, right::read | right::offsets, {"orders-*"}}));
    std::ofstream(file_, std::ios::app) << "# kept\n";
    EXPECT_TRUE(allow(file_, {"billing", two, {}, {}}));
    EXPECT_TRUE(allow(file_, {"audit", new_key(), rights::all(), {"*"}}));
    EXPECT_TRUE(allow(file_, {"audit", "", right::read, {"x", "y"}}));
    access_list list = access_list::read(file_);
    EXPECT_EQ(list.keys().size(), 3U);
    EXPECT_EQ(list.of("billing", "orders-1"), right::read | right::offsets);
    EXPECT_EQ(revoke(file_, one), 1U);
    list = access_list::read(file_);
    EXPECT_EQ(list.keys().find(one), nullptr);
    EXPECT_EQ(list.of("billing", "orders-1"), right::read | right::offsets) << "it has another key";
    EXPECT_EQ(revoke(file_, two), 1U);
    EXPECT_FALSE(access_list::read(file_).knows("billing"));
    EXPECT_EQ(revoke(file_, "audit"), 1U);
    EXPECT_NE(text().find("# kept\n"), std::string::npos);
    EXPECT_TRUE(access_list::read(file_).clients().empty());
}

TEST_F(clients_file, stays_as_it_is_when_a_change_is_wrong) {
    const std::string key = new_key();
    EXPECT_TRUE(allow(file_, {"billing", key, right::read, {"x"}}));
    const std::string before = text();
    EXPECT_THROW(std::ignore = allow(file_, {"audit", key, right::read, {"x"}}), error);
    EXPECT_FALSE(allow(file_, {"audit", "", right::read, {"x"}}));
    EXPECT_THROW(std::ignore = allow(file_, {"audit", "short", right::read, {"x"}}), error);
    EXPECT_THROW(std::ignore = allow(file_, {"billing", "", right::read, {"a b/"}}), error);
    EXPECT_EQ(revoke(file_, "nobody"), 0U);
    EXPECT_EQ(text(), before);
    ::chmod(file_.c_str(), 0666);
    EXPECT_THROW(std::ignore = access_list::read(file_), error);
    ::chmod(file_.c_str(), 0600);
    std::filesystem::create_symlink(file_, directory_ + "/link");
    EXPECT_THROW(std::ignore = access_list::read(directory_ + "/link"), error);
    EXPECT_THROW(std::ignore = access_list::read(directory_), error);
}

// systemd's way: root's, readable by the service through the group bits of an access list.
TEST_F(clients_file, keys_may_be_credentials) {
    const moebius::key_pair keys = moebius::generate_keys();
    const std::string path = directory_ + "/key";
    moebius::write_key_file(path, keys);
    EXPECT_EQ(read_keys(path).secret_key, keys.secret_key);
    ::chmod(path.c_str(), 0440);
    EXPECT_THROW(std::ignore = read_keys(path), error);
    ::setenv("CREDENTIALS_DIRECTORY", directory_.c_str(), 1);
    EXPECT_EQ(read_keys(path).secret_key, keys.secret_key);
    ::chmod(path.c_str(), 0444);
    EXPECT_THROW(std::ignore = read_keys(path), error);
    ::unsetenv("CREDENTIALS_DIRECTORY");
}

}  // namespace
}  // namespace tstreams::access
