// Names and addresses as containers see them: DNS, virtual addresses, slots.

#include <signal.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

// Far more than an answer takes, far less than a client's patience.
constexpr absl::Duration kSoon = absl::Seconds(8);

class NamesTest : public Suite {
 protected:
  static void SetUpTestSuite() {
    Open("e2ename");
    nginx_ = world().PushNginx("1", "v1");
    world().Apply(absl::StrCat("{kind: Service, name: web, image: '", nginx_,
                               "', replicas: 2, ports: ['80'], "
                               "resources: {memory: 64Mi}, "
                               "rollout: {minHealthyTime: 100ms}}"));
    world().Apply(Manifest("probe", "exec sleep 100000"));
    world().Apply(Manifest(
        "self", "echo me > /tmp/index.html; exec httpd -f -p 80 -h /tmp",
        "ports: [\"80\"]\n"));
  }
  static void TearDownTestSuite() { Close(); }
  void SetUp() override {
    Suite::SetUp();
    Ctl({"scale", "web", "2"});
    ASSERT_TRUE(world().AwaitReady("web", 2));
    ASSERT_TRUE(world().AwaitReady("probe", 1));
    ASSERT_TRUE(world().AwaitReady("self", 1));
  }

  static Result Lookup(const std::string& name,
                       const std::string& from = "probe") {
    return world().Ctl({"exec", from, "nslookup", name}, kSoon);
  }
  static bool Finds(const std::string& name, const std::string& address) {
    const Result result = Lookup(name);
    return result.ok() &&
           result.out.find("\nAddress: " + address + "\n") != std::string::npos;
  }
  static bool Unknown(const std::string& name) {
    const Result result = Lookup(name);
    return result.code == 1 && result.out.find("NXDOMAIN") != std::string::npos;
  }

  // A word of an object's status or spec, as JSON has it.
  static std::string Field(const std::string& kind, const std::string& name,
                           const std::string& field) {
    const std::string json = Ctl({"get", kind, name, "-o", "json"}).out;
    const std::pair<std::string, std::string> parts = absl::StrSplit(
        json, absl::MaxSplits(absl::StrCat("\"", field, "\": \""), 1));
    return parts.second.substr(0, parts.second.find('"'));
  }
  static std::string VirtualAddress(const std::string& service) {
    return Field("service", service, "virtualAddress");
  }
  static ReplicaInfo InSlot(int slot) {
    for (const ReplicaInfo& r : world().Ready("web")) {
      if (r.slot == slot) return r;
    }
    return ReplicaInfo();
  }
  static std::string Fetch(const std::string& url,
                           const std::string& from = "probe") {
    return world().Ctl({"exec", from, "wget", "-q", "-O", "-", url}, kSoon).out;
  }

  static std::string nginx_;
};

std::string NamesTest::nginx_;

TEST_F(NamesTest, WhenAskedForAService_GivesItsVirtualAddress) {
  const std::string address = VirtualAddress("web");
  ASSERT_THAT(address, ::testing::StartsWith("10.211."));
  for (const char* name :
       {"web", "web.default", "web.default.bulwark.internal", "WEB"}) {
    EXPECT_TRUE(Finds(name, address)) << Lookup(name).ToString();
  }
  EXPECT_THAT(Lookup(address).out, HasSubstr("web.default.bulwark.internal"));
}

TEST_F(NamesTest, WhenAskedForASlot_GivesItsReplica) {
  for (const int slot : {0, 1}) {
    const ReplicaInfo replica = InSlot(slot);
    const std::string address = Field("replica", replica.name, "address");
    for (const char* form : {"", ".default", ".default.bulwark.internal"}) {
      const std::string name = absl::StrCat(slot, ".web", form);
      EXPECT_TRUE(Finds(name, address)) << Lookup(name).ToString();
    }
    EXPECT_EQ(Fetch(absl::StrCat("http://", slot, ".web/")),
              replica.name + " v1\n");
  }
}

TEST_F(NamesTest, WhenFetched_TheProxySpreadsOverReplicas) {
  const std::string answers =
      Ctl({"exec", "probe", "sh", "-c",
           "for i in $(seq 20); do wget -q -O - http://web/; done"})
          .out;
  const std::vector<std::string> lines =
      absl::StrSplit(answers, '\n', absl::SkipEmpty());
  EXPECT_EQ(lines.size(), 20) << answers;
  std::set<std::string> expected;
  for (const ReplicaInfo& r : world().Ready("web")) {
    expected.insert(r.name + " v1");
  }
  EXPECT_EQ(std::set<std::string>(lines.begin(), lines.end()), expected);
  // By its own name as well, and from the service itself.
  EXPECT_EQ(Fetch("http://web.default.bulwark.internal/").size(),
            lines[0].size() + 1);
  EXPECT_EQ(Fetch("http://self/", "self"), "me\n");
  EXPECT_EQ(Fetch("http://0.self/", "self"), "me\n");
}

TEST_F(NamesTest, WhenThereIsNoSuchName_SaysSoAtOnce) {
  for (const char* name :
       {"nothing", "nothing.default.bulwark.internal", "7.web", "7.web.default",
        "7.web.default.bulwark.internal", "web.other.bulwark.internal"}) {
    EXPECT_TRUE(Unknown(name)) << name << ": " << Lookup(name).ToString();
  }
  // The upstream of this world is a port that nobody listens on.
  EXPECT_THAT(Lookup("example.com").out, HasSubstr("SERVFAIL"));
}

TEST_F(NamesTest, WhenScaled_NamesFollow) {
  Ctl({"scale", "web", "3"});
  ASSERT_TRUE(world().AwaitReady("web", 3));
  EXPECT_TRUE(Eventually([] {
    return Finds("2.web", Field("replica", InSlot(2).name, "address"));
  }));
  Ctl({"scale", "web", "1"});
  EXPECT_TRUE(Eventually([] { return Unknown("1.web") && Unknown("2.web"); }));
  EXPECT_TRUE(Finds("web", VirtualAddress("web")));
  EXPECT_EQ(Fetch("http://web/"), InSlot(0).name + " v1\n");
}

TEST_F(NamesTest, WhenAReplicaIsReplaced_ItsSlotKeepsTheAddress) {
  const ReplicaInfo victim = InSlot(0);
  const std::string address = Field("replica", victim.name, "address");
  ASSERT_EQ(kill(victim.pid, SIGKILL), 0);
  ASSERT_TRUE(Eventually([&] {
    const std::string name = InSlot(0).name;
    return !name.empty() && name != victim.name;
  }));
  EXPECT_TRUE(Eventually([&] { return Finds("0.web", address); }));
}

TEST_F(NamesTest, WhenAServiceStopsOrGoes_NobodyIsLeftHanging) {
  ASSERT_TRUE(
      world()
          .Apply(Manifest("brief", "exec httpd -f -p 80", "ports: [\"80\"]\n"))
          .ok());
  ASSERT_TRUE(world().AwaitReady("brief", 1));
  EXPECT_TRUE(Eventually([] { return Lookup("brief").ok(); }));
  Ctl({"stop", "brief", "--wait"});
  EXPECT_TRUE(Eventually([] {
    const Result fetch = world().Ctl(
        {"exec", "probe", "wget", "-q", "-O", "-", "http://brief/"}, kSoon);
    return fetch.code == 1 && fetch.err.find("refused") != std::string::npos;
  }));
  Ctl({"delete", "service", "brief", "--wait"});
  EXPECT_TRUE(Eventually([] { return Unknown("brief"); }));
}

TEST_F(NamesTest, WhenTheDaemonOrTheProxyDies_NamesResolve) {
  const std::string address = VirtualAddress("web");
  const int pid = world().Ready("probe").at(0).pid;
  // Without the daemon there is no ctl exec.
  auto inside = [&](std::vector<std::string> command) {
    command.insert(command.begin(),
                   {"nsenter", "-n", "-m", "-t", absl::StrCat(pid), "--"});
    return e2e::Run(command, kSoon).out;
  };
  world().KillDaemon();
  EXPECT_THAT(inside({"/bin/nslookup", "web"}), HasSubstr(address));
  EXPECT_THAT(inside({"/bin/wget", "-q", "-O", "-", "http://web/"}),
              HasSubstr(" v1\n"));
  const int proxy = world().ProcessOf("bulwark-proxy");
  ASSERT_GT(proxy, 0);
  ASSERT_EQ(kill(proxy, SIGKILL), 0);
  EXPECT_TRUE(Eventually([&] {
    return inside({"/bin/nslookup", "web"}).find(address) != std::string::npos;
  }));
  EXPECT_THAT(inside({"/bin/wget", "-q", "-O", "-", "http://web/"}),
              HasSubstr(" v1\n"));
}

TEST_F(NamesTest, WhenInAnotherProject_NamesAreItsOwn) {
  ASSERT_TRUE(world()
                  .Apply(Manifest("web", "exec httpd -f -p 80",
                                  "project: shop\nports: [\"80\"]\n"))
                  .ok());
  ASSERT_TRUE(Eventually([] {
    return world().Ctl({"-p", "shop", "exec", "web", "true"}).ok();
  }));
  auto from_shop = [](const std::string& name) {
    return world().Ctl({"-p", "shop", "exec", "web", "nslookup", name}, kSoon);
  };
  EXPECT_THAT(from_shop("web").out, HasSubstr("web.shop.bulwark.internal"));
  EXPECT_THAT(from_shop("web").out, Not(HasSubstr(VirtualAddress("web"))));
  EXPECT_THAT(from_shop("web.default.bulwark.internal").out,
              HasSubstr("NXDOMAIN"));
  EXPECT_TRUE(Unknown("web.shop.bulwark.internal"));
  Ctl({"-p", "shop", "delete", "service", "web", "--wait"});
}

}  // namespace
}  // namespace bulwark::e2e
