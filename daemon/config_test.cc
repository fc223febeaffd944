#include "daemon/config.h"

#include <sys/stat.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "daemon/check_config.h"
#include "daemon/config_file.h"

namespace bulwark::daemon {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

// A host on which the defaults can be used.
class CheckConfigTest : public ::testing::Test {
 protected:
  CheckConfigTest() {
    for (const char* program :
         {"bulwark-shim", "bulwark-keeper", "bulwark-proxy"}) {
      std::ofstream(dir_ / program) << "program";
      chmod((dir_ / program).c_str(), 0755);
    }
  }

  // Of the defaults after `change`.
  absl::Status Check(void (*change)(Config&)) {
    Config config;
    config.bin_dir = dir_.path();
    config.dns_upstreams = {"10.0.0.53"};
    change(config);
    Complete(config);
    return CheckConfig(config);
  }

  testing::TempDir dir_;
};

TEST_F(CheckConfigTest, DefaultsAreComplete) {
  Config config;
  Complete(config);
  EXPECT_EQ(config.socket, "/run/bulwark/bulwarkd.sock");
  EXPECT_FALSE(config.bin_dir.empty());
  EXPECT_OK(Check([](Config&) {}));
}

TEST(MirrorsOfTest, WhenSeveralAreForOneRegistry_TheirOrderStays) {
  ASSERT_OK_AND_ASSIGN(const auto mirrors,
                       MirrorsOf({"docker.io=b.lan:5000", "r.lan=c.lan/hub",
                                  "index.docker.io=a.lan"}));
  ASSERT_EQ(mirrors.size(), 2u);
  EXPECT_EQ(mirrors.at("docker.io"),
            (std::vector<std::string>{"b.lan:5000", "a.lan"}));
  EXPECT_EQ(mirrors.at("r.lan"), (std::vector<std::string>{"c.lan/hub"}));
  for (const char* bad : {"", "=m", "r=", "r=/x", "r=m/", "r r=m"}) {
    EXPECT_FALSE(MirrorsOf({bad}).ok()) << bad;
  }
}

TEST_F(CheckConfigTest, WhenAValueCannotBeUsed_NamesTheFlagAndSaysWhy) {
  const struct {
    void (*change)(Config&);
    const char* flag;
    const char* why;
  } kCases[] = {
      {[](Config& c) { c.state_dir = "relative"; }, "--state-dir",
       "not an absolute path"},
      {[](Config& c) { c.socket = "a.sock"; }, "--socket",
       "not an absolute path"},
      {[](Config& c) { c.bin_dir = "bin"; }, "--bin-dir",
       "not an absolute path"},
      {[](Config& c) { c.runtime_dir = "/" + std::string(60, 'x'); },
       "--runtime-dir", "at most 40"},
      {[](Config& c) { c.socket = "/" + std::string(200, 'x'); }, "--socket",
       "at most 100"},
      {[](Config& c) { c.instance = ""; }, "--instance", "[a-z0-9]"},
      {[](Config& c) { c.instance = "Upper"; }, "--instance", "[a-z0-9]"},
      {[](Config& c) { c.instance = "with-dash"; }, "--instance", "[a-z0-9]"},
      {[](Config& c) { c.instance = "muchmuchtoolong"; }, "--instance",
       "1 to 12"},
      {[](Config& c) { c.container_pool = "10.0.0.0"; }, "--container-pool",
       "not a subnet"},
      {[](Config& c) { c.container_pool = "10.0.0.0/28"; }, "--container-pool",
       "too small"},
      {[](Config& c) { c.container_pool = "fd00::/48"; }, "--container-pool",
       "not IPv4"},
      {[](Config& c) { c.virtual_pool = "10.210.4.0/24"; }, "--virtual-pool",
       "overlaps --container-pool 10.210.0.0/16"},
      {[](Config& c) { c.uplink_subnet = "10.212.0.0/31"; }, "--uplink-subnet",
       "too small"},
      {[](Config& c) { c.build_subnet = "nonsense"; }, "--build-subnet",
       "not a subnet"},
      {[](Config& c) { c.dns_upstreams = {"ns.lan"}; }, "--dns-upstream",
       "ns.lan"},
      {[](Config& c) { c.insecure_registries = {"http://r.lan"}; },
       "--insecure-registry", "HOST:PORT"},
      {[](Config& c) { c.registry_mirrors = {"m.lan:5000"}; },
       "--registry-mirror", "REGISTRY=MIRROR"},
      {[](Config& c) { c.registry_mirrors = {"docker.io=https://m.lan"}; },
       "--registry-mirror", "without https://"},
      {[](Config& c) { c.certs_dir = "certs"; }, "--certs-dir", "absolute"},
      {[](Config& c) { c.max_kernel = "new"; }, "--max-kernel", "such as 6.1"},
      {[](Config& c) { c.id_base = 1000; }, "--id-base", "65536 to"},
      {[](Config& c) { c.id_base = 2147400000; }, "--id-base", "65536 to"},
      {[](Config& c) { c.registry_stall_timeout = 0; },
       "--registry-stall-timeout", "1 to 3600 seconds"},
      {[](Config& c) { c.registry_min_rate = -1; }, "--registry-min-rate",
       "less than 0"},
      {[](Config& c) { c.image_gc_start = 101; }, "--image-gc-start", "101"},
      {[](Config& c) { c.image_gc_stop = 85; }, "--image-gc-stop",
       "less than --image-gc-start 85"},
      {[](Config& c) { c.proxy_workers = -1; }, "--proxy-workers", "-1"},
      {[](Config& c) { c.proxy_engine = "magic"; }, "--proxy-engine", "magic"},
      {[](Config& c) { c.socket_group = "no such group"; }, "--socket-group",
       "groupadd"},
      {[](Config& c) { c.bin_dir = "/nowhere"; }, "--bin-dir",
       "/nowhere/bulwark-shim: No such file"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(Check(c.change),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(StartsWith(c.flag), HasSubstr(c.why))));
  }
}

TEST_F(CheckConfigTest, WhenSeveralThingsAreWrong_SaysThemAllWithTheirPlaces) {
  const absl::Status status = Check([](Config& c) {
    ASSERT_OK(ParseConfigFile("f.yaml",
                              "log-level: loud\n"
                              "dns-upstream: [10.0.0.1, a.lan, b.lan]\n"
                              "image-gc-start: 101\n"
                              "log-format: text\n",
                              c));
    c.proxy_engine = "magic";
    c.state_dir = "s";
  });
  const std::vector<std::string> lines = absl::StrSplit(status.message(), '\n');
  EXPECT_THAT(lines,
              UnorderedElementsAre(
                  StartsWith("f.yaml:1:12: log-level: \"loud\" is none of"),
                  StartsWith("f.yaml:2:15: dns-upstream: "),
                  StartsWith("f.yaml:2:15: dns-upstream: "),
                  StartsWith("f.yaml:3:17: image-gc-start: 101 is not"),
                  StartsWith("--proxy-engine: "),
                  StartsWith("--state-dir: \"s\" is not an absolute path")));
}

TEST_F(CheckConfigTest, WhenTwoSettingsClash_BothAreNamedAsTheyWereGiven) {
  const absl::Status status = Check([](Config& c) {
    ASSERT_OK(ParseConfigFile("f.yaml",
                              "container-pool: 10.0.0.0/16\n"
                              "image-gc-start: 50\n",
                              c));
    c.virtual_pool = "10.0.4.0/24";
    c.uplink_subnet = "10.0.4.0/30";
    c.image_gc_stop = 60;
  });
  const std::vector<std::string> lines = absl::StrSplit(status.message(), '\n');
  EXPECT_THAT(
      lines,
      UnorderedElementsAre(
          StartsWith("--virtual-pool: 10.0.4.0/24 overlaps container-pool 10."),
          StartsWith("--uplink-subnet: 10.0.4.0/30 overlaps container-pool "),
          StartsWith("--uplink-subnet: 10.0.4.0/30 overlaps --virtual-pool "),
          StartsWith("--image-gc-stop: 60 is not 0 to less than image-gc-start "
                     "50")));
}

TEST_F(CheckConfigTest, WhenAProgramCannotRun_SaysWhich) {
  chmod((dir_ / "bulwark-proxy").c_str(), 0644);
  EXPECT_THAT(Check([](Config&) {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("bulwark-proxy: it is not an executable")));
}

TEST(ConfigTest, TheCommandLineSetsWhatItNames) {
  Config config;
  char program[] = "bulwarkd", flag[] = "--instance", value[] = "t1",
       own[] = "--i-own-this-host";
  char* argv[] = {program, flag, value, own, nullptr};
  EXPECT_EQ(ParseCommandLine(4, argv, config), -1);
  EXPECT_EQ(config.instance, "t1");
  EXPECT_TRUE(config.own_host);
}

TEST(ConfigTest, WhenAValueIsEmpty_WhatFollowsIsNotTakenForIt) {
  Config config;
  char program[] = "bulwarkd",
       flag[] = "--metrics-listen=", own[] = "--i-own-this-host",
       config_file[] = "--config=/dev/null";
  char* argv[] = {program, config_file, flag, own, nullptr};
  EXPECT_EQ(ParseCommandLine(4, argv, config), -1);
  EXPECT_EQ(config.metrics_listen, "");
  EXPECT_TRUE(config.own_host);
  EXPECT_EQ(ParseCommandLine(3, argv, config), -1);  // nothing follows
}

TEST(ConfigTest, WhatTheCommandLineSets_HasNoPlaceInTheFile) {
  testing::TempDir dir;
  std::ofstream(dir / "f.yaml") << "log-level: a\nlog-format: b\n";
  std::string file = dir / "f.yaml";
  Config config;
  char program[] = "bulwarkd", first[] = "--config", level[] = "--log-level",
       value[] = "c";
  char* argv[] = {program, first, file.data(), level, value, nullptr};
  EXPECT_EQ(ParseCommandLine(5, argv, config), -1);
  EXPECT_THAT(config.places, ElementsAre(Pair("log-format", file + ":2:13")));
}

TEST(ConfigTest, WhenAFlagIsUnknown_ExitsWithUsage) {
  Config config;
  char program[] = "bulwarkd", flag[] = "--no-such-flag";
  char* argv[] = {program, flag, nullptr};
  EXPECT_EQ(ParseCommandLine(2, argv, config), 2);
}

TEST(ConfigTest, WhenAListFlagHasAWordBehindIt_RefusesThat) {
  Config config;
  char program[] = "bulwarkd", flag[] = "--dns-upstream", value[] = "10.0.0.1",
       stray[] = "stray";
  char* argv[] = {program, flag, value, stray, nullptr};
  EXPECT_EQ(ParseCommandLine(4, argv, config), 2);
}

TEST(ConfigTest, NameserversAreTakenInOrder) {
  EXPECT_THAT(Nameservers("# nameserver 1.1.1.1\nsearch x\nnameserver\t"
                          "192.0.2.1\nnameserver fe80::1%eth0\n"
                          "nameserver 192.0.2.2\n"),
              ElementsAre("192.0.2.1", "192.0.2.2"));
}

}  // namespace
}  // namespace bulwark::daemon
