// SPDX-License-Identifier: Apache-2.0
//
// Configuration: what an operator meets when a file is right, and when it is not.
#include "common/service/config.hpp"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <limits>

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using ff::Errc;
using ff::service::ConfigSchema;
using ff::service::nearest_word;

namespace {

/// One key of every kind.
struct Settings {
  std::string folder = "/var/spool/x";
  std::vector<std::string> brokers{"a:1", "b:2"};
  std::string action = "spool";
  bool strict = false;
  std::uint64_t slots = 64;
  std::vector<std::int64_t> sentinels{-1, 65535};
  double share = 0.25;
  std::uint64_t most = 2ull << 30;
  std::chrono::nanoseconds latency = 200ms;

  bool operator==(const Settings&) const = default;
};

struct Fixture {
  Settings settings;
  ConfigSchema schema{"foreframe-test"};

  Fixture() {
    schema.section("spool", "Blocks wait here.");
    schema.text("spool.folder", &settings.folder, "Where they wait.");
    schema.choice("spool.action", &settings.action, {"spool", "refuse", "keep_summary"},
                  "What to do when full.");
    schema.flag("spool.strict", &settings.strict, "Whether to fsync before sending.");
    schema.size("spool.max", &settings.most, 1 << 20, 1ull << 50, "Most disk it may take.");
    schema.duration("spool.latency", &settings.latency, 1ms, 10s, "Longest wait.");
    schema.section("link", "The way out.");
    schema.text_list("link.brokers", &settings.brokers, "Who to ask.");
    schema.integer("link.slots", &settings.slots, 1, 1024, "How many in flight.");
    schema.integer_list("link.sentinels", &settings.sentinels, "Values that are no counts.");
    schema.number("link.share", &settings.share, 0, 1, "Part of the link for repeats.");
  }
  std::string error_of(std::string_view toml) {
    const ff::Status status = schema.load_text(toml, "agent.toml");
    REQUIRE_FALSE(status.ok());
    CHECK(status.error().code == Errc::config_error);
    CHECK(settings == Settings{});  // nothing is set when anything is wrong
    return status.error().message;
  }
};

}  // namespace

TEST_CASE("a complete file sets every kind of key", "[config]") {
  Fixture f;
  const ff::Status good = f.schema.load_text(
      "[spool]\nfolder = \"/data\"\naction = \"refuse\"\nstrict = true\nmax = \"3 MB\"\nlatency = \"1.5 s\"\n"
      "[link]\nbrokers = []\nslots = 1\nsentinels = [-2]\nshare = 1\n",
      "agent.toml");
  REQUIRE(good.ok());
  CHECK(f.settings == Settings{"/data", {}, "refuse", true, 1, {-2}, 1.0, 3'000'000, 1500ms});
}

TEST_CASE("keys that a file leaves out keep their defaults", "[config]") {
  Fixture f;
  REQUIRE(f.schema.load_text("", "agent.toml").ok());
  CHECK(f.settings == Settings{});
  REQUIRE(f.schema.load_text("link.slots = 7", "agent.toml").ok());
  CHECK(f.settings.slots == 7);
  CHECK(f.settings.brokers == Settings{}.brokers);
}

TEST_CASE("an unknown key is named with line, column and the nearest key", "[config]") {
  CHECK(Fixture().error_of("[spool]\n\n  lattency = \"1 s\"\n") ==
        "agent.toml:3:3: 'spool.lattency' is no key of foreframe-test; did you mean 'spool.latency'?");
}

TEST_CASE("a key in the wrong section is shown its section", "[config]") {
  CHECK(Fixture().error_of("[link]\nlatency = \"1 s\"\n") ==
        "agent.toml:2:1: 'link.latency' is no key of foreframe-test; did you mean 'spool.latency'?");
}

TEST_CASE("a key like no other is answered with the keys of its section", "[config]") {
  CHECK(Fixture().error_of("[link]\nzzzzzz = 1\n") ==
        "agent.toml:2:1: 'link.zzzzzz' is no key of foreframe-test; [link] has: brokers, slots, sentinels, "
        "share");
}

TEST_CASE("an unknown section is reported once, not for each of its keys", "[config]") {
  CHECK(Fixture().error_of("[spol]\nmax = 1\nother = 2\n") ==
        "agent.toml:1:1: [spol] is no section of foreframe-test; did you mean [spool]?");
  CHECK(Fixture().error_of("[storage.deep]\nx = 1\n") ==
        "agent.toml:1:1: [storage] is no section of foreframe-test; it has: [spool] [link]");
}

TEST_CASE("a wrong type says what was found and what was expected", "[config]") {
  CHECK(Fixture().error_of("[spool]\nmax = 5\n") ==
        "agent.toml:2:7: spool.max: found the number 5; expected a size, \"1 MiB\" to \"1024 TiB\", in "
        "quotes and with "
        "its unit");
  CHECK(Fixture().error_of("[spool]\nstrict = \"yes\"\n") ==
        "agent.toml:2:10: spool.strict: found the text \"yes\"; expected true or false, without quotes");
  CHECK(Fixture().error_of("[spool]\nfolder = 1979-05-27\n") ==
        "agent.toml:2:10: spool.folder: found a date or time; expected text in quotes");
  CHECK(Fixture().error_of("[link]\nbrokers = [\"a\", 1]\n") ==
        "agent.toml:2:11: link.brokers: found a list; expected a list of texts, such as [\"a\", \"b\"]");
  CHECK(Fixture().error_of("[link]\nslots = 1.5\n") ==
        "agent.toml:2:9: link.slots: found the number 1.5; expected a whole number, 1 to 1024");
}

TEST_CASE("a quantity without a unit names the units", "[config]") {
  const std::string message = Fixture().error_of("[spool]\nlatency = \"200\"\n");
  CHECK(message.find("agent.toml:2:11: spool.latency: '200' is not a number with a unit") == 0);
  CHECK(message.find("ms") != std::string::npos);
}

TEST_CASE("values at both ends of a range are taken, values beyond are refused", "[config]") {
  for (const char* good : {"link.slots = 1", "link.slots = 1024", "link.share = 0", "link.share = 1.0",
                           "spool.latency = \"1 ms\"", "spool.latency = \"10 s\"", "spool.max = \"1 MiB\""})
    CHECK(Fixture().schema.load_text(good, "agent.toml").ok());
  for (const char* bad :
       {"link.slots = 0", "link.slots = 1025", "link.slots = -1", "link.share = 1.0001", "link.share = nan",
        "spool.latency = \"999 us\"", "spool.latency = \"10001 ms\"", "spool.max = \"1048575 B\""})
    CHECK(Fixture().error_of(bad).find("expected a") != std::string::npos);
}

TEST_CASE("a misspelt choice is answered with the nearest one", "[config]") {
  const std::string message = Fixture().error_of("[spool]\naction = \"refuze\"\n");
  CHECK(message ==
        "agent.toml:2:10: spool.action: found the text \"refuze\"; expected one of \"spool\", \"refuse\", "
        "\"keep_summary\"; did you mean \"refuse\"?");
}

TEST_CASE("all problems of a file come in one answer, in the order of its lines", "[config]") {
  CHECK(Fixture().error_of("[spool]\nstrikt = true\nmax = \"1 TiB\"\n[link]\nslots = 0\nshare = \"x\"\n") ==
        "agent.toml:2:1: 'spool.strikt' is no key of foreframe-test; did you mean 'spool.strict'?\n"
        "agent.toml:5:9: link.slots: found the number 0; expected a whole number, 1 to 1024\n"
        "agent.toml:6:9: link.share: found the text \"x\"; expected a number, 0.0 to 1.0");
}

TEST_CASE("text that is not TOML is refused with its place", "[config]") {
  CHECK(Fixture().error_of("[spool]\nmax = \n").find("agent.toml:2:") == 0);
  CHECK(Fixture().error_of("[spool]\nstrict = true\nstrict = true\n").find("agent.toml:3:") == 0);
  CHECK(Fixture().error_of(std::string(4000, '[')).find("agent.toml:1:") == 0);
  CHECK(Fixture().error_of(std::string("\0\xff\x80", 3)).find("agent.toml:1:") == 0);
}

TEST_CASE("what render writes is read back as the same values", "[config]") {
  Fixture written;
  written.settings = {"/a \"b\"\\\t\x01", {"x,y", ""},     "keep_summary", true, 1024, {}, 0.1,
                      1234567890,         1234567ns * 1000};
  Fixture read;
  const ff::Status status = read.schema.load_text(written.schema.render(), "rendered");
  INFO((status.ok() ? "" : status.error().message));
  REQUIRE(status.ok());
  CHECK(read.settings == written.settings);
  CHECK(read.schema.render() == written.schema.render());
}

TEST_CASE("the rendered file explains every key", "[config]") {
  const std::string text = Fixture().schema.render();
  CHECK(text.find("# Blocks wait here.\n[spool]\n# Where they wait.\nfolder = \"/var/spool/x\"\n") !=
        std::string::npos);
  CHECK(
      text.find("# Most disk it may take.\n# Takes a size, \"1 MiB\" to \"1024 TiB\".\nmax = \"2 GiB\"\n") !=
      std::string::npos);
  for (std::size_t begin = 0, end; begin < text.size(); begin = end + 1) {
    end = text.find('\n', begin);
    CHECK(end - begin <= 100);
  }
}

TEST_CASE("the Markdown table lists every key with its default, not its present value", "[config]") {
  Fixture f;
  f.settings.slots = 3;
  CHECK(f.schema.render_markdown().find(
            "| `link.slots` | `64` | a whole number, 1 to 1024 | How many in flight. |\n") !=
        std::string::npos);
}

TEST_CASE("--set takes one key as the file would, with or without quotes around text", "[config]") {
  Fixture f;
  REQUIRE(f.schema.set("spool.max", "4 GiB").ok());
  REQUIRE(f.schema.set("spool.latency", "\"50 ms\"").ok());
  REQUIRE(f.schema.set("spool.strict", "true").ok());
  REQUIRE(f.schema.set("link.brokers", R"(["k:9092"])").ok());
  REQUIRE(f.schema.set("spool.folder", "a = b # c").ok());
  CHECK(f.settings.most == 4ull << 30);
  CHECK(f.settings.latency == 50ms);
  CHECK(f.settings.strict);
  CHECK(f.settings.brokers == std::vector<std::string>{"k:9092"});
  CHECK(f.settings.folder == "a = b # c");
}

TEST_CASE("a wrong --set says which and why, and cannot smuggle in a second key", "[config]") {
  Fixture f;
  CHECK(f.schema.set("spool.maxx", "1").error().message ==
        "--set spool.maxx=1: 'spool.maxx' is no key of foreframe-test; did you mean 'spool.max'?");
  CHECK(f.schema.set("link.slots", "many").error().message ==
        "--set link.slots=many: expected a whole number, 1 to 1024");
  CHECK_FALSE(f.schema.set("link.slots", "5\n[spool]\nstrict = true").ok());
  CHECK(f.settings == Settings{});
}

TEST_CASE("files that cannot be read are refused by name", "[config]") {
  Fixture f;
  CHECK(f.schema.load_file("no/such/agent.toml").error().code == Errc::not_found);
  CHECK(f.schema.load_file(".").error().code == Errc::io_error);
  const auto path = std::filesystem::temp_directory_path() / "foreframe_config_test_large.toml";
  std::ofstream(path) << std::string((1 << 20) + 1, '#');
  CHECK(f.schema.load_file(path).error().code == Errc::config_error);
  std::ofstream(path) << "[link]\nslots = 9\n";
  CHECK(f.schema.load_file(path).ok());
  CHECK(f.settings.slots == 9);
  std::filesystem::remove(path);
}

TEST_CASE("the nearest word is near, or there is none", "[config]") {
  const std::vector<std::string> known{"debug", "info", "warning", "error"};
  CHECK(nearest_word("inof", known) == "info");  // two letters swapped are one edit
  CHECK(nearest_word("on", known).empty());
  CHECK(nearest_word("inffo", known) == "info");
  CHECK(nearest_word("warnin", known) == "warning");
  CHECK(nearest_word("trace", known).empty());
  CHECK(nearest_word("", known).empty());
  CHECK(nearest_word("x", {}).empty());
}
