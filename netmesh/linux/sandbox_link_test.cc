// Sandboxes whose links were made ahead, and those that are not connected yet.
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "base/status.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "netmesh/linux/linux_network.h"
#include "netmesh/linux/names.h"
#include "netmesh/linux/testing/sockets.h"
#include "os/files.h"
#include "os/netns.h"
#include "os/nft.h"

namespace bulwark::netmesh {
namespace {

using bulwark::testing::StatusIs;
using ::testing::HasSubstr;
using testing::Listener;
using ::testing::Not;

constexpr char kInstance[] = "linktst";
constexpr absl::Duration kLong = absl::Seconds(20);
const SandboxSpec kBoth = {
    "both", "red", "10.210.0.2", "fd00:1::2", {1879048192, 65536}};
const SandboxSpec kFour = {
    "four", "red", "10.210.0.3", "", {1879048192 + 65536, 65536}};

class SandboxLinkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(worker_, os::NetnsWorker::Start());
    ASSERT_NO_FATAL_FAILURE(Restart());
    ASSERT_OK(network_->EnsureNetwork({"red", "10.210.0.0/24", "fd00:1::/64"}));
    ASSERT_OK_AND_ASSIGN(plane_, os::OpenNetns(network_->dataplane_netns()));
  }
  void TearDown() override { EXPECT_OK(network_->Teardown()); }

  static void Await(const std::function<bool()>& condition) {
    RealClock clock;
    const absl::Duration deadline = clock.Steady() + kLong;
    bool met = false;
    while (!(met = condition()) && clock.Steady() < deadline) {
      clock.Sleep(absl::Milliseconds(2));
    }
    EXPECT_TRUE(met);
  }
  // Nothing is spare then.
  void Restart() {
    LinuxNetworkConfig config;
    config.instance = kInstance;
    config.runtime_dir = dir_ / "run";
    network_.reset();
    if (plane_.ok()) Await([&] { return Spares().empty(); });
    network_ = std::make_unique<LinuxNetwork>(config);
    ASSERT_OK(network_->Recover());
  }
  UniqueFd Make(const SandboxSpec& spec) {
    EXPECT_OK(network_->EnsureSandbox(spec));
    return os::OpenNetns(network_->SandboxPath(spec.id)).value();
  }
  os::Netlink NetlinkIn(const UniqueFd& netns) {
    std::optional<os::Netlink> netlink;
    EXPECT_OK(worker_->Run(netns.get(), [&]() -> absl::Status {
      ASSIGN_OR_RETURN(netlink, os::Netlink::Open());
      return absl::OkStatus();
    }));
    return *std::move(netlink);
  }
  absl::StatusOr<os::Link> PortOf(const SandboxSpec& spec) {
    return NetlinkIn(plane_).GetLink(
        LinkName(kInstance, LinkKind::kSandbox, spec.id));
  }
  std::set<int> Spares() {
    std::set<int> found;
    const std::vector<os::Link> all = NetlinkIn(plane_).ListLinks().value();
    for (const os::Link& link : all) {
      if (absl::StartsWith(link.name,
                           LinkPrefix(kInstance, LinkKind::kSpare))) {
        found.insert(link.index);
      }
    }
    return found;
  }
  // Until all are there; their indices.
  std::set<int> AwaitSpares() {
    std::set<int> found;
    Await([&] {
      found = Spares();
      return found.size() == kSpareSandboxes;
    });
    return found;
  }
  // A link with the name of that of `spec`, which belongs to another sandbox:
  // as if both ids had one hash. Its index.
  int MakeForeignLink(const SandboxSpec& spec) {
    const std::string name = LinkName(kInstance, LinkKind::kSandbox, spec.id);
    os::Netlink outside = NetlinkIn(plane_);
    EXPECT_OK(outside.AddVeth(
        {.name = name, .peer_name = "other", .peer_netns_fd = plane_.get()}));
    const int index = PortOf(spec)->index;
    EXPECT_OK(outside.ChangeLink(
        index,
        {.alias = FormatAlias(kInstance, kSandboxKind, {"third", "red"})}));
    return index;
  }
  std::string Rules() {
    std::string text;
    EXPECT_OK(worker_->Run(plane_.get(), [&]() -> absl::Status {
      ASSIGN_OR_RETURN(os::Nft nft, os::Nft::Open());
      ASSIGN_OR_RETURN(text, nft.List("list ruleset", false));
      return absl::OkStatus();
    }));
    return text;
  }
  bool HasGateway(const SandboxSpec& spec) {
    const auto netns = os::OpenNetns(network_->SandboxPath(spec.id));
    return netns.ok() && testing::Ping(*worker_, netns->get(), "10.210.0.1");
  }

  // Deletes it, with its link.
  void Delete(const SandboxSpec& spec, UniqueFd netns) {
    ASSERT_OK(network_->DeleteSandbox(spec.id));
    netns.Reset();
    Await([&] { return absl::IsNotFound(PortOf(spec).status()); });
  }

  static std::string Read(const std::string& path) {
    return os::ReadFile(path, 1 << 16).value_or("");
  }
  // All that can be asked about a sandbox's links but their numbers, and the
  // address of the end outside, which is the kernel's choice.
  std::map<std::string, std::string> Traits(const SandboxSpec& spec,
                                            const UniqueFd& netns) {
    std::map<std::string, std::string> traits;
    const auto add = [&](const std::string& end, const os::Link& link) {
      traits[end + " name"] = link.name;
      traits[end + " kind"] = link.kind;
      traits[end + " alias"] = link.alias;
      traits[end + " mtu"] = absl::StrCat(link.mtu);
      traits[end + " up"] = absl::StrCat(link.up);
    };
    os::Netlink outside = NetlinkIn(plane_);
    const os::Link port = PortOf(spec).value();
    add("port", port);
    const os::Link bridge =
        outside.GetLink(LinkName(kInstance, LinkKind::kBridge, "red")).value();
    EXPECT_EQ(port.master, bridge.index);
    os::Netlink inside = NetlinkIn(netns);
    const os::Link eth = inside.GetLink("eth0").value();
    EXPECT_EQ(eth.peer, port.index);
    add("eth0", eth);
    traits["eth0 mac"] = os::FormatMac(eth.mac);
    const std::vector<os::LinkAddress> all = inside.ListAddresses().value();
    for (const os::LinkAddress& a : all) {
      traits[absl::StrCat("address ", a.address.ToString())] =
          absl::StrCat(a.bits, a.link == eth.index ? " of eth0" : "");
    }
    EXPECT_EQ(inside.DefaultRouteLink().value(), eth.index);
    EXPECT_OK(worker_->Run(netns.get(), [&] {
      const std::string net = "/proc/thread-self/net";
      traits["routes"] = Read(net + "/route");
      // In no order.
      std::vector<std::string> addresses =
          absl::StrSplit(Read(net + "/if_inet6"), '\n', absl::SkipEmpty());
      std::sort(addresses.begin(), addresses.end());
      traits["inet6"] = absl::StrJoin(addresses, "\n");
      std::ifstream routes(net + "/ipv6_route");
      for (std::string line; std::getline(routes, line);) {
        std::vector<std::string> fields =
            absl::StrSplit(line, ' ', absl::SkipEmpty());
        fields.erase(fields.begin() + 6, fields.begin() + 8);  // counters
        absl::StrAppend(&traits["routes6"], absl::StrJoin(fields, " "), "\n");
      }
      for (const char* folder : {"ipv4/conf/eth0", "ipv6/conf/eth0",
                                 "ipv4/neigh/eth0", "ipv6/neigh/eth0"}) {
        for (const auto& entry : std::filesystem::directory_iterator(
                 absl::StrCat("/proc/sys/net/", folder))) {
          traits[entry.path()] = Read(entry.path());
        }
      }
      return absl::OkStatus();
    }));
    AtPort(spec, [&](const std::string& files) {
      for (const char* flag :
           {"learning", "unicast_flood", "isolated", "hairpin_mode", "state",
            "multicast_flood", "broadcast_flood", "path_cost", "priority"}) {
        const std::string value = Read(files + flag);
        EXPECT_NE(value, "") << flag;
        traits[absl::StrCat("port ", flag)] = value;
      }
    });
    return traits;
  }
  // Runs `task` where the files of the port's settings are, with the path of
  // them.
  void AtPort(const SandboxSpec& spec,
              const std::function<void(const std::string&)>& task) {
    const std::string name = LinkName(kInstance, LinkKind::kSandbox, spec.id);
    const std::string sys = dir_ / "sys";
    std::filesystem::create_directories(sys);
    EXPECT_OK(worker_->Run(plane_.get(), [&]() -> absl::Status {
      if (mount("sysfs", sys.c_str(), "sysfs", 0, nullptr) != 0) {
        return ErrnoStatus("mount", sys);
      }
      task(absl::StrCat(sys, "/class/net/", name, "/brport/"));
      return umount2(sys.c_str(), MNT_DETACH) == 0
                 ? absl::OkStatus()
                 : ErrnoStatus("unmount", sys);
    }));
  }

  // When its link-local address, if it has one, is known to be no other's.
  std::map<std::string, std::string> Settled(const SandboxSpec& spec,
                                             const UniqueFd& netns) {
    const auto settled = [&] {
      const std::string addresses = Traits(spec, netns).at("inet6");
      for (absl::string_view line :
           absl::StrSplit(addresses, '\n', absl::SkipEmpty())) {
        const std::vector<absl::string_view> fields =
            absl::StrSplit(line, ' ', absl::SkipEmpty());
        constexpr absl::string_view kPermanent = "80";
        if (absl::StartsWith(line, "fe80")) return fields[4] == kPermanent;
      }
      return spec.address6.empty();
    };
    Await(settled);
    return Traits(spec, netns);
  }

  bulwark::testing::TempDir dir_;
  std::unique_ptr<os::NetnsWorker> worker_;
  std::unique_ptr<LinuxNetwork> network_;
  UniqueFd plane_;
};

TEST_F(SandboxLinkTest, WhenMadeOfASpare_EqualsOneMadeWithout) {
  for (const SandboxSpec& spec : {kBoth, kFour}) {
    ASSERT_NO_FATAL_FAILURE(Restart());
    UniqueFd netns = Make(spec);
    const auto expected = Settled(spec, netns);
    EXPECT_EQ(expected.at("port learning"), "0\n");
    EXPECT_EQ(expected.at("port unicast_flood"), "0\n");
    const std::set<int> spares = AwaitSpares();
    EXPECT_FALSE(spares.contains(PortOf(spec)->index));
    ASSERT_NO_FATAL_FAILURE(Delete(spec, std::move(netns)));

    netns = Make(spec);
    EXPECT_TRUE(spares.contains(PortOf(spec)->index));
    const auto found = Settled(spec, netns);
    EXPECT_EQ(found.size(), expected.size());
    for (const auto& [trait, value] : expected) {
      EXPECT_EQ(found.contains(trait) ? found.at(trait) : "missing", value)
          << trait;
    }
    EXPECT_TRUE(testing::Ping(*worker_, netns.get(), "10.210.0.1"));
    for (const std::string& address : {spec.address, spec.address6}) {
      if (address.empty()) continue;
      Listener listener(*worker_, netns.get(), address, 80);
      EXPECT_EQ(testing::Connect(*worker_, plane_.get(), address, 80, "", 3000),
                0)
          << address;
    }
  }
}

// As earlier versions left them.
TEST_F(SandboxLinkTest, WhenAPortIsNotLocked_RecoveryLocksIt) {
  const UniqueFd netns = Make(kFour);
  AtPort(kFour, [](const std::string& files) {
    for (const char* flag : {"learning", "unicast_flood"}) {
      std::ofstream(files + flag) << "1";
    }
  });
  ASSERT_EQ(Traits(kFour, netns).at("port learning"), "1\n");
  network_ = nullptr;
  ASSERT_NO_FATAL_FAILURE(Restart());
  EXPECT_EQ(Traits(kFour, netns).at("port learning"), "0\n");
  EXPECT_EQ(Traits(kFour, netns).at("port unicast_flood"), "0\n");
}

// Something keeps the old namespace, and so its link, alive.
TEST_F(SandboxLinkTest, WhenItsOldLinkHasTheName_ASpareTakesItsPlace) {
  UniqueFd old = Make(kBoth);
  const int old_port = PortOf(kBoth)->index;
  const std::set<int> spares = AwaitSpares();
  ASSERT_OK(network_->DeleteSandbox(kBoth.id));
  ASSERT_EQ(PortOf(kBoth)->index, old_port);
  UniqueFd netns = Make(kBoth);
  EXPECT_TRUE(spares.contains(PortOf(kBoth)->index));
  EXPECT_THAT(NetlinkIn(old).GetLink("eth0"),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_TRUE(testing::Ping(*worker_, netns.get(), "10.210.0.1"));
}

TEST_F(SandboxLinkTest, WhenAnotherSandboxsLinkHasTheName_ItStays) {
  Make(kFour);
  AwaitSpares();
  const int index = MakeForeignLink(kBoth);
  EXPECT_THAT(network_->EnsureSandbox(kBoth),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("third")));
  EXPECT_EQ(PortOf(kBoth)->index, index);
  ASSERT_OK(NetlinkIn(plane_).DeleteLink(index));
  EXPECT_OK(network_->EnsureSandbox(kBoth));
}

TEST_F(SandboxLinkTest, WhenRulesVanishBeforeItIsConnected_ItHasItsOwn) {
  ASSERT_OK(network_->PrepareSandbox(kBoth));
  EXPECT_THAT(Rules(), Not(HasSubstr(kBoth.address)));
  ASSERT_OK(worker_->Run(plane_.get(), []() -> absl::Status {
    ASSIGN_OR_RETURN(os::Nft nft, os::Nft::Open());
    return nft.Run("flush ruleset");
  }));
  ASSERT_OK(network_->Repair());
  EXPECT_THAT(Rules(), Not(HasSubstr(kBoth.address)));
  ASSERT_OK(network_->ConnectSandbox("both"));
  EXPECT_THAT(Rules(), HasSubstr(kBoth.address));
  EXPECT_TRUE(HasGateway(kBoth));
}

TEST_F(SandboxLinkTest, WhenANewOneCannotBeConnected_NothingOfItIsLeft) {
  for (const bool spare : {false, true}) {
    if (spare) AwaitSpares();
    ASSERT_OK_AND_ASSIGN(const Sandbox made, network_->PrepareSandbox(kBoth));
    const int index = MakeForeignLink(kBoth);
    EXPECT_THAT(network_->ConnectSandbox("both"),
                StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("third")));
    EXPECT_FALSE(network_->FindSandbox("both").has_value());
    EXPECT_FALSE(std::filesystem::exists(made.netns_path));
    EXPECT_THAT(Rules(), Not(HasSubstr(kBoth.address)));
    EXPECT_THAT(network_->ConnectSandbox("both"),
                StatusIs(absl::StatusCode::kNotFound));
    EXPECT_EQ(PortOf(kBoth)->index, index);
    ASSERT_OK(NetlinkIn(plane_).DeleteLink(index));
  }
  EXPECT_OK(network_->EnsureSandbox(kBoth));
  EXPECT_TRUE(HasGateway(kBoth));
}

TEST_F(SandboxLinkTest, WhenAPreparedOneIsDeleted_ItsSpareLinkGoesWithIt) {
  Make(kFour);
  const std::set<int> before = AwaitSpares();
  ASSERT_OK(network_->PrepareSandbox(kBoth));
  ASSERT_OK(network_->DeleteSandbox("both"));
  Await([&] {
    const std::set<int> now = Spares();
    return now.size() == kSpareSandboxes && now != before;
  });
}

TEST_F(SandboxLinkTest, WhenThePinOfAPreparedOneIsGone_ItIsMadeAnew) {
  ASSERT_OK_AND_ASSIGN(const Sandbox made, network_->PrepareSandbox(kBoth));
  ASSERT_OK(os::UnpinNetns(made.netns_path));
  ASSERT_OK(network_->PrepareSandbox(kBoth));
  EXPECT_OK(os::OpenNetns(made.netns_path));
  ASSERT_OK(network_->ConnectSandbox("both"));
  EXPECT_TRUE(HasGateway(kBoth));
}

TEST_F(SandboxLinkTest, WhenOneThatLostItsLinkIsDeleted_ItsRulesGo) {
  Make(kBoth);
  ASSERT_THAT(Rules(), HasSubstr(kBoth.address));
  ASSERT_OK(NetlinkIn(plane_).DeleteLink(PortOf(kBoth)->index));
  ASSERT_OK(network_->PrepareSandbox(kBoth));
  EXPECT_THAT(Rules(), HasSubstr(kBoth.address));
  ASSERT_OK(network_->DeleteSandbox("both"));
  EXPECT_THAT(Rules(), Not(HasSubstr(kBoth.address)));
}

TEST_F(SandboxLinkTest, WhenOneThatLostAllCannotBeConnected_ItsRulesGo) {
  const Sandbox made = {kBoth, network_->SandboxPath("both")};
  Make(kBoth);
  ASSERT_OK(NetlinkIn(plane_).DeleteLink(PortOf(kBoth)->index));
  ASSERT_OK(os::UnpinNetns(made.netns_path));
  ASSERT_OK(network_->PrepareSandbox(kBoth));
  const int index = MakeForeignLink(kBoth);
  EXPECT_THAT(network_->ConnectSandbox("both"),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("third")));
  EXPECT_FALSE(network_->FindSandbox("both").has_value());
  EXPECT_THAT(Rules(), Not(HasSubstr(kBoth.address)));
  ASSERT_OK(NetlinkIn(plane_).DeleteLink(index));
  EXPECT_OK(network_->EnsureSandbox(kBoth));
}

// Somebody lives in it.
TEST_F(SandboxLinkTest, WhenALostLinkCannotBeMade_ItIsTriedAgain) {
  const UniqueFd netns = Make(kBoth);
  ASSERT_OK(NetlinkIn(plane_).DeleteLink(PortOf(kBoth)->index));
  const int index = MakeForeignLink(kBoth);
  ASSERT_OK(network_->PrepareSandbox(kBoth));
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(network_->ConnectSandbox("both"),
                StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("third")));
  }
  EXPECT_TRUE(network_->FindSandbox("both").has_value());
  ASSERT_OK(NetlinkIn(plane_).DeleteLink(index));
  EXPECT_OK(network_->ConnectSandbox("both"));
  EXPECT_TRUE(testing::Ping(*worker_, netns.get(), "10.210.0.1"));
}

TEST_F(SandboxLinkTest, WhenItHasNoIds_WhatIsSetBeforeTheConnectionStays) {
  const SandboxSpec spec = {"none", "red", "10.210.0.9", "", {}};
  ASSERT_OK_AND_ASSIGN(const Sandbox made, network_->PrepareSandbox(spec));
  ASSERT_OK_AND_ASSIGN(const UniqueFd netns, os::OpenNetns(made.netns_path));
  constexpr char kPath[] = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
  const auto read = [&] {
    std::string value;
    EXPECT_OK(worker_->Run(netns.get(), [&] {
      value = Read(kPath);
      return absl::OkStatus();
    }));
    return value;
  };
  EXPECT_EQ(read(), "0\n");
  ASSERT_OK(worker_->Run(netns.get(), [&] {
    std::ofstream(kPath) << "80";
    return absl::OkStatus();
  }));
  ASSERT_OK(network_->ConnectSandbox("none"));
  EXPECT_EQ(read(), "80\n");
}

}  // namespace
}  // namespace bulwark::netmesh
