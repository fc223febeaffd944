// config.md: the five sets of capabilities, as the kernel shows them.
#include <map>
#include <sstream>

#include "tests/conformance/suite.h"

namespace bulwark::conformance {
namespace {

constexpr uint64_t kKill = 1ull << 5;
constexpr uint64_t kBind = 1ull << 10;
constexpr uint64_t kChown = 1ull << 0;

class CapabilitiesSuite : public Suite {
 protected:
  // The sets by name ("Prm") of the container's process.
  std::map<std::string, uint64_t> Sets() {
    const Outcome outcome =
        container().RunScript("grep ^Cap /proc/self/status");
    EXPECT_THAT(outcome, Succeeds());
    std::map<std::string, uint64_t> sets;
    std::stringstream lines(outcome.out);
    std::string name, value;
    while (lines >> name >> value) {
      sets[name.substr(3, 3)] = std::stoull(value, nullptr, 16);
    }
    EXPECT_EQ(sets.size(), 5u) << outcome.ToString();
    return sets;
  }
  Json& capabilities() { return bundle().process()["capabilities"]; }
};

CONFORMANCE_SUITE_OF(CapabilitiesTest, CapabilitiesSuite);

TEST_P(CapabilitiesTest, WhenRootHasSome_ThenItHasThoseAlone) {
  const Json names = {"CAP_KILL", "CAP_NET_BIND_SERVICE"};
  capabilities() = {
      {"bounding", names}, {"effective", names}, {"permitted", names}};
  auto sets = Sets();
  EXPECT_EQ(sets["Bnd"], kKill | kBind);
  EXPECT_EQ(sets["Eff"], kKill | kBind);
  EXPECT_EQ(sets["Prm"], kKill | kBind);
  EXPECT_EQ(sets["Inh"], 0u);
  EXPECT_EQ(sets["Amb"], 0u);
}

TEST_P(CapabilitiesTest, WhenAUserHasAmbientOnes_ThenTheyReachTheProgram) {
  const Json bind = {"CAP_NET_BIND_SERVICE"};
  const Json both = {"CAP_KILL", "CAP_NET_BIND_SERVICE"};
  bundle().process()["user"] = {{"uid", 1000}, {"gid", 1000}};
  capabilities() = {{"bounding", both},
                    {"effective", both},
                    {"permitted", both},
                    {"inheritable", both},
                    {"ambient", bind}};
  auto sets = Sets();
  EXPECT_EQ(sets["Bnd"], kKill | kBind);
  EXPECT_EQ(sets["Inh"], kKill | kBind);
  EXPECT_EQ(sets["Amb"], kBind);
  EXPECT_EQ(sets["Prm"], kBind);
  EXPECT_EQ(sets["Eff"], kBind);
}

TEST_P(CapabilitiesTest, WhenAUserHasNoAmbientOnes_ThenTheProgramHasNone) {
  const Json names = {"CAP_KILL", "CAP_CHOWN"};
  bundle().process()["user"] = {{"uid", 1000}, {"gid", 1000}};
  capabilities() = {
      {"bounding", names}, {"effective", names}, {"permitted", names}};
  auto sets = Sets();
  EXPECT_EQ(sets["Bnd"], kKill | kChown);
  EXPECT_EQ(sets["Eff"], 0u);
  EXPECT_EQ(sets["Prm"], 0u);
}

TEST_P(CapabilitiesTest, WhenTheSetsAreEmpty_ThenEvenRootHasNone) {
  capabilities() = {{"bounding", Json::array()},
                    {"effective", Json::array()},
                    {"permitted", Json::array()},
                    {"inheritable", Json::array()},
                    {"ambient", Json::array()}};
  for (const auto& [name, set] : Sets()) EXPECT_EQ(set, 0u) << name;
}

TEST_P(CapabilitiesTest, WhenTheObjectIsEmpty_ThenEvenRootHasNone) {
  capabilities() = Json::object();
  for (const auto& [name, set] : Sets()) EXPECT_EQ(set, 0u) << name;
}

TEST_P(CapabilitiesTest, WhenOneIsUnknown_ThenItRunsWithoutIt) {
  const Json names = {"CAP_KILL", "CAP_OF_NOBODY"};
  capabilities() = {
      {"bounding", names}, {"effective", names}, {"permitted", names}};
  EXPECT_EQ(Sets()["Eff"], kKill);
}

TEST_P(CapabilitiesTest, WhenOneIsMissing_ThenTheKernelForbidsIt) {
  EXPECT_THAT(container().RunScript("chown 5 /tmp && chmod 700 /tmp"),
              Succeeds());
  const Json none = Json::array();
  capabilities() = {
      {"bounding", none}, {"effective", none}, {"permitted", none}};
  EXPECT_NE(container().RunScript("chown 6 /etc/passwd").code, 0);
}

}  // namespace
}  // namespace bulwark::conformance
