// Real packets, in namespaces of the test's own.
#include "netmesh/linux/linux_network.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "netmesh/linux/names.h"
#include "netmesh/linux/testing/namespaces.h"
#include "netmesh/linux/testing/sockets.h"
#include "os/netns.h"
#include "os/nft.h"

namespace bulwark::netmesh {
namespace {

using bulwark::testing::StatusIs;
using testing::Address;
using ::testing::HasSubstr;
using testing::Listener;
using ::testing::Not;

const auto* const kNamespaces =
    ::testing::AddGlobalTestEnvironment(new testing::Namespaces);

constexpr char kInstance[] = "nettest";
// With users of its own, among others that have none.
const SandboxSpec kOne = {
    "one", "red", "10.210.0.2", "fd00:1::2", {1879048192, 65536}};

class LinuxNetworkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(worker_, os::NetnsWorker::Start());
    config_.instance = kInstance;
    config_.runtime_dir = dir_.path();
    ASSERT_NO_FATAL_FAILURE(Restart());
    ASSERT_OK(network_->EnsureNetwork({"red", "10.210.0.0/24", "fd00:1::/64"}));
    ASSERT_OK(network_->EnsureNetwork({"blue", "10.210.1.0/24", ""}));
    one_ = Make(kOne);
    two_ = Make({"two", "red", "10.210.0.3", "fd00:1::3"});
    three_ = Make({"three", "blue", "10.210.1.2", ""});
    ASSERT_OK_AND_ASSIGN(plane_, os::OpenNetns(network_->dataplane_netns()));
  }
  void TearDown() override { EXPECT_OK(network_->Teardown()); }

  void Restart() {
    network_ = std::make_unique<LinuxNetwork>(config_);
    ASSERT_OK(network_->Recover());
  }
  UniqueFd Make(const SandboxSpec& spec) {
    auto sandbox = network_->EnsureSandbox(spec);
    EXPECT_OK(sandbox);
    return os::OpenNetns(sandbox->netns_path).value();
  }
  std::optional<os::Netlink> NetlinkIn(const UniqueFd& netns) {
    std::optional<os::Netlink> netlink;
    EXPECT_OK(worker_->Run(netns.get(), [&]() -> absl::Status {
      ASSIGN_OR_RETURN(netlink, os::Netlink::Open());
      return absl::OkStatus();
    }));
    return netlink;
  }
  // -1: the test's own namespace, "the host".
  UniqueFd SocketIn(const UniqueFd& netns, int family, int type,
                    int protocol = 0) {
    return testing::SocketIn(*worker_, netns.get(), family, type, protocol);
  }
  Listener ListenIn(const UniqueFd& netns, absl::string_view address,
                    uint16_t port) {
    return Listener(*worker_, netns.get(), address, port);
  }
  // 0, or the errno of connect; ETIMEDOUT after `patience`.
  int Connect(const UniqueFd& from, absl::string_view address, uint16_t port,
              absl::string_view source = "", int patience_millis = 3000) {
    return testing::Connect(*worker_, from.get(), address, port, source,
                            patience_millis);
  }
  std::string Rules(const UniqueFd& netns) {
    std::string text;
    EXPECT_OK(worker_->Run(netns.get(), [&]() -> absl::Status {
      ASSIGN_OR_RETURN(os::Nft nft, os::Nft::Open());
      ASSIGN_OR_RETURN(text, nft.List("list ruleset", false));
      return absl::OkStatus();
    }));
    return text;
  }
  absl::Status FlushRules(const UniqueFd& netns) {
    return worker_->Run(netns.get(), []() -> absl::Status {
      ASSIGN_OR_RETURN(os::Nft nft, os::Nft::Open());
      return nft.Run("flush ruleset");
    });
  }

  bulwark::testing::TempDir dir_;
  LinuxNetworkConfig config_;
  std::unique_ptr<os::NetnsWorker> worker_;
  std::unique_ptr<LinuxNetwork> network_;
  UniqueFd one_, two_, three_, plane_;
  const UniqueFd host_;
};

// Long enough to be sure that a packet was dropped, where one that passes
// takes microseconds.
constexpr int kDropMillis = 300;

TEST_F(LinuxNetworkTest, WhenInOneNetwork_SandboxesReachEachOther) {
  Listener four = ListenIn(two_, "10.210.0.3", 80);  // a low port
  Listener six = ListenIn(two_, "fd00:1::3", 80);
  EXPECT_EQ(Connect(one_, "10.210.0.3", 80), 0);
  EXPECT_EQ(Connect(one_, "fd00:1::3", 80), 0);
  EXPECT_EQ(Connect(one_, "10.210.0.3", 81), ECONNREFUSED);
  EXPECT_TRUE(testing::Ping(*worker_, one_.get(), "10.210.0.3"));
  EXPECT_TRUE(testing::Ping(*worker_, one_.get(), "10.210.0.1"));
  EXPECT_TRUE(testing::Ping(*worker_, one_.get(), "127.0.0.1"));
}

TEST_F(LinuxNetworkTest, WhenSandboxesTalk_BothAreCounted) {
  ASSERT_OK_AND_ASSIGN(const auto before, network_->ReadTraffic());
  ASSERT_EQ(before.size(), 3u);
  Listener four = ListenIn(two_, "10.210.0.3", 80);
  ASSERT_EQ(Connect(one_, "10.210.0.3", 80), 0);
  ASSERT_OK_AND_ASSIGN(const auto after, network_->ReadTraffic());
  // At least a SYN and an ACK.
  EXPECT_GE(after.at("one").transmit_bytes - before.at("one").transmit_bytes,
            2 * 54);
  EXPECT_GE(after.at("two").receive_bytes - before.at("two").receive_bytes,
            2 * 54);
  EXPECT_GT(after.at("two").transmit_bytes, before.at("two").transmit_bytes);
  EXPECT_GT(after.at("one").receive_bytes, before.at("one").receive_bytes);
}

TEST_F(LinuxNetworkTest, WhenInOtherNetworks_SandboxesAreApart) {
  Listener listener = ListenIn(three_, "10.210.1.2", 80);
  EXPECT_EQ(Connect(one_, "10.210.1.2", 80), EHOSTUNREACH);
  // Nor the other network's gateway, nor other ports of their own.
  Listener gateway = ListenIn(plane_, "0.0.0.0", 8080);
  EXPECT_EQ(Connect(one_, "10.210.1.1", 8080), EHOSTUNREACH);
  EXPECT_EQ(Connect(one_, "10.210.0.1", 8080), EHOSTUNREACH);
  EXPECT_EQ(Connect(one_, "10.212.0.2", 8080), EHOSTUNREACH);
  EXPECT_EQ(Connect(plane_, "10.210.1.2", 80), 0);  // probes and the proxy
}

TEST_F(LinuxNetworkTest, WhenTheDataPlaneListens_ServicesAndDnsAreReached) {
  // As the proxy does, on a socket of the port.
  ASSERT_OK_AND_ASSIGN(UniqueFd fd,
                       network_->OpenSocket(AF_INET, SOCK_STREAM, 0));
  Address vip("10.211.0.7", 80);
  ASSERT_EQ(bind(fd.get(), vip.get(), vip.size()), 0) << strerror(errno);
  ASSERT_EQ(listen(fd.get(), 8), 0);
  EXPECT_EQ(Connect(one_, "10.211.0.7", 80), 0);
  EXPECT_EQ(Connect(three_, "10.211.0.7", 80), 0);
  EXPECT_EQ(Connect(plane_, "10.211.0.7", 80), 0);
  EXPECT_EQ(Connect(one_, "10.211.0.8", 80), ECONNREFUSED);
  Listener dns = ListenIn(plane_, "10.210.0.1", 53);
  EXPECT_EQ(Connect(one_, "10.210.0.1", 53), 0);
}

TEST_F(LinuxNetworkTest, WhenItGoesOutside_IsSeenAsTheHost) {
  // Given a neighbour of the host that knows no way back to containers.
  ASSERT_OK_AND_ASSIGN(UniqueFd outside, worker_->Create());
  ASSERT_OK_AND_ASSIGN(os::Netlink host, os::Netlink::Open());
  ASSERT_OK(host.AddVeth(
      {.name = "lan", .peer_name = "lan", .peer_netns_fd = outside.get()}));
  os::Link lan = host.GetLink("lan").value();
  ASSERT_OK(host.AddAddress(lan.index,
                            os::IpAddress::Parse("192.0.2.1").value(), 24));
  ASSERT_OK(host.ChangeLink(lan.index, {.up = true}));
  auto peer = NetlinkIn(outside);
  os::Link inside = peer->GetLink("lan").value();
  ASSERT_OK(peer->AddAddress(inside.index,
                             os::IpAddress::Parse("192.0.2.2").value(), 24));
  ASSERT_OK(peer->ChangeLink(inside.index, {.up = true}));
  ASSERT_OK(host.ReplaceRoute(
      {.destination = {os::IpAddress::V4(0), 0},
       .gateway = os::IpAddress::Parse("192.0.2.2").value()}));

  Listener listener = ListenIn(outside, "192.0.2.2", 443);
  EXPECT_EQ(Connect(one_, "192.0.2.2", 443), 0);
  EXPECT_EQ(listener.AcceptFrom(), "192.0.2.1");
  EXPECT_EQ(Connect(plane_, "192.0.2.2", 443), 0);
  EXPECT_TRUE(testing::Ping(*worker_, one_.get(), "192.0.2.2"));

  // The host itself and cloud metadata stay out of reach.
  Listener on_host = ListenIn(host_, "0.0.0.0", 22);
  EXPECT_EQ(Connect(one_, "192.0.2.1", 22, "", kDropMillis), ETIMEDOUT);
  EXPECT_EQ(Connect(one_, "10.212.0.1", 22, "", kDropMillis), ETIMEDOUT);
  EXPECT_EQ(Connect(one_, "169.254.169.254", 80), EHOSTUNREACH);
  // A neighbour that routes to our subnets by way of the host gets nowhere.
  ASSERT_OK(peer->ReplaceRoute(
      {.destination = os::Subnet::Parse("10.208.0.0/12").value(),
       .gateway = os::IpAddress::Parse("192.0.2.1").value()}));
  Listener vip = ListenIn(plane_, "0.0.0.0", 80);
  for (const char* target : {"10.212.0.2", "10.211.0.7", "10.210.0.2"}) {
    EXPECT_NE(Connect(outside, target, 80, "", kDropMillis), 0) << target;
  }
  ASSERT_OK(host.DeleteLink(lan.index));
}

TEST_F(LinuxNetworkTest, WhenASandboxForgesItsAddress_NothingPasses) {
  Listener listener = ListenIn(two_, "10.210.0.3", 80);
  Listener service = ListenIn(plane_, "10.211.0.7", 80);
  auto netlink = NetlinkIn(one_);
  os::Link eth = netlink->GetLink("eth0").value();
  ASSERT_OK(netlink->AddAddress(
      eth.index, os::IpAddress::Parse("10.210.0.99").value(), 24));
  ASSERT_OK(netlink->AddAddress(
      eth.index, os::IpAddress::Parse("fd00:1::99").value(), 64));
  EXPECT_EQ(Connect(one_, "10.210.0.3", 80, "10.210.0.2"), 0);
  EXPECT_EQ(Connect(one_, "10.211.0.7", 80, "10.210.0.2"), 0);
  EXPECT_NE(Connect(one_, "10.210.0.3", 80, "10.210.0.99", kDropMillis), 0);
  EXPECT_NE(Connect(one_, "10.211.0.7", 80, "10.210.0.99", kDropMillis), 0);
  Listener six = ListenIn(two_, "fd00:1::3", 80);
  EXPECT_EQ(Connect(one_, "fd00:1::3", 80, "fd00:1::2"), 0);
  EXPECT_NE(Connect(one_, "fd00:1::3", 80, "fd00:1::99", kDropMillis), 0);
}

TEST_F(LinuxNetworkTest, WhenAnAddressIsReused_ItsNewHolderAnswersAtOnce) {
  // A process keeps the old namespace, and so its link, alive.
  Listener old = ListenIn(two_, "10.210.0.3", 80);
  ASSERT_EQ(Connect(one_, "10.210.0.3", 80), 0);
  for (int i = 0; i < 5; ++i) {
    ASSERT_OK(network_->DeleteSandbox(i == 0 ? "two" : "next"));
    UniqueFd next = Make({"next", "red", "10.210.0.3", ""});
    Listener listener = ListenIn(next, "10.210.0.3", 81);
    EXPECT_EQ(Connect(one_, "10.210.0.3", 81), 0);
    EXPECT_EQ(Connect(plane_, "10.210.0.3", 81), 0);
    EXPECT_NE(Connect(two_, "10.210.0.2", 80, "", kDropMillis), ECONNREFUSED);
  }
}

TEST_F(LinuxNetworkTest, WhenTheProcessRestarts_ConnectionsLive) {
  Listener listener = ListenIn(two_, "10.210.0.3", 80);
  Listener service = ListenIn(plane_, "10.211.0.7", 80);
  UniqueFd near = testing::Connected(*worker_, one_.get(), "10.210.0.3", 80);
  UniqueFd far = testing::Connected(*worker_, one_.get(), "10.211.0.7", 80);
  UniqueFd near_end = listener.Accept();
  UniqueFd far_end = service.Accept();
  ASSERT_NO_FATAL_FAILURE(Restart());
  EXPECT_TRUE(testing::Talk(near, near_end));
  EXPECT_TRUE(testing::Talk(far, far_end));
  EXPECT_EQ(Connect(one_, "10.210.0.3", 80), 0);
}

TEST_F(LinuxNetworkTest, WhenSomethingIsHalfMade_RecoverRemovesIt) {
  auto inside = NetlinkIn(plane_);
  // Links that died before their alias was set.
  ASSERT_OK(inside->AddBridge(
      {.name = LinkName(kInstance, LinkKind::kBridge, "green"),
       .mac = {2, 0, 0, 0, 0, 1}}));
  ASSERT_OK_AND_ASSIGN(UniqueFd netns, worker_->Create());
  const std::string port = LinkName(kInstance, LinkKind::kSandbox, "half");
  ASSERT_OK(inside->AddVeth(
      {.name = port, .peer_name = "eth0", .peer_netns_fd = netns.get()}));
  ASSERT_OK(os::PinNetns(netns.get(), dir_ / "netns/half"));
  // A pin that lost its mount, and one that lost its file.
  std::ofstream(dir_ / "netns/empty") << "";
  ASSERT_OK(os::UnpinNetns(dir_ / "netns/three"));
  // Not ours: stays.
  ASSERT_OK(inside->AddBridge({.name = "foreign", .mac = {2, 0, 0, 0, 0, 2}}));

  ASSERT_NO_FATAL_FAILURE(Restart());
  EXPECT_EQ(network_->ListNetworks().size(), 2u);
  EXPECT_EQ(network_->ListSandboxes().size(), 2u);
  EXPECT_NE(access((dir_ / "netns/half").c_str(), F_OK), 0);
  EXPECT_NE(access((dir_ / "netns/empty").c_str(), F_OK), 0);
  EXPECT_THAT(inside->GetLink(port), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(inside->GetLink(LinkName(kInstance, LinkKind::kBridge, "green")),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_OK(inside->GetLink("foreign"));
  // And everything can be made as if nothing had been.
  EXPECT_OK(network_->EnsureNetwork({"green", "10.210.2.0/24", ""}));
  EXPECT_OK(network_->EnsureSandbox({"half", "green", "10.210.2.2", ""}));
  EXPECT_OK(network_->EnsureSandbox({"three", "blue", "10.210.1.2", ""}));
}

TEST_F(LinuxNetworkTest, WhenTheDataPlaneIsLost_RecoverStartsAfresh) {
  // A reboot with a runtime directory that survived it: pins without mounts.
  plane_.Reset();
  for (const char* pin : {"dataplane", "one", "two", "three"}) {
    ASSERT_EQ(umount2((dir_ / "netns/").append(pin).c_str(), MNT_DETACH), 0);
  }
  ASSERT_NO_FATAL_FAILURE(Restart());
  EXPECT_TRUE(network_->ListNetworks().empty());
  EXPECT_TRUE(network_->ListSandboxes().empty());
  EXPECT_OK(network_->EnsureNetwork({"red", "10.210.0.0/24", ""}));
  EXPECT_OK(network_->EnsureSandbox({"one", "red", "10.210.0.2", ""}));
}

TEST_F(LinuxNetworkTest, WhenRulesAreFlushed_RepairPutsThemBack) {
  const std::string before = Rules(plane_);
  EXPECT_THAT(before, HasSubstr("10.210.0.2"));
  ASSERT_OK(FlushRules(plane_));
  ASSERT_OK(FlushRules(host_));
  EXPECT_OK(network_->Repair());
  EXPECT_EQ(Rules(plane_), before);
  EXPECT_THAT(Rules(host_), HasSubstr("masquerade"));
  // Changes work without a repair, too.
  ASSERT_OK(FlushRules(plane_));
  EXPECT_OK(network_->DeleteSandbox("three"));
  EXPECT_OK(network_->EnsureSandbox({"three", "blue", "10.210.1.2", ""}));
  EXPECT_EQ(Rules(plane_), before);
}

TEST_F(LinuxNetworkTest, WhenRulesAreFlushed_TheyComeBackByThemselves) {
  const std::string before = Rules(plane_);
  const std::string before_host = Rules(host_);
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK(FlushRules(i == 0 ? plane_ : host_));
    RealClock clock;
    const absl::Duration deadline = clock.Steady() + absl::Seconds(5);
    while ((Rules(plane_) != before || Rules(host_) != before_host) &&
           clock.Steady() < deadline) {
      clock.Sleep(absl::Milliseconds(5));
    }
    EXPECT_EQ(Rules(plane_), before);
    EXPECT_EQ(Rules(host_), before_host);
  }
}

TEST_F(LinuxNetworkTest, WhenTheUplinkIsDeleted_RepairPutsItBack) {
  ASSERT_OK_AND_ASSIGN(os::Netlink host, os::Netlink::Open());
  ASSERT_OK(host.DeleteLink(host.GetLink(UplinkName(kInstance)).value().index));
  auto inside = NetlinkIn(plane_);
  EXPECT_EQ(inside->DefaultRouteLink().value(), 0);
  EXPECT_OK(network_->Repair());
  EXPECT_OK(network_->Repair());
  os::Link outer = host.GetLink(UplinkName(kInstance)).value();
  os::Link inner = inside->GetLink(kUplinkInside).value();
  EXPECT_TRUE(outer.up && inner.up);
  EXPECT_EQ(outer.peer, inner.index);
  EXPECT_EQ(inside->DefaultRouteLink().value(), inner.index);
}

TEST_F(LinuxNetworkTest, WhenABridgeIsLeftOver_EnsureReplacesIt) {
  auto inside = NetlinkIn(plane_);
  const std::string bridge = LinkName(kInstance, LinkKind::kBridge, "green");
  ASSERT_OK(inside->AddBridge({.name = bridge, .mac = {2, 0, 0, 0, 0, 1}}));
  EXPECT_OK(network_->EnsureNetwork({"green", "10.210.2.0/24", ""}));
  EXPECT_THAT(inside->GetLink(bridge)->alias, HasSubstr("10.210.2.0/24"));
}

TEST_F(LinuxNetworkTest, WhenASandboxLosesItsLink_EnsureConnectsItAgain) {
  auto inside = NetlinkIn(plane_);
  const std::string port = LinkName(kInstance, LinkKind::kSandbox, "one");
  ASSERT_OK(inside->DeleteLink(inside->GetLink(port).value().index));
  UniqueFd again = Make(kOne);
  EXPECT_TRUE(os::SameNetns(again.get(), one_.get()));
  EXPECT_TRUE(testing::Ping(*worker_, one_.get(), "10.210.0.3"));
}

TEST_F(LinuxNetworkTest, WhenTheUplinkSubnetChanges_TheOldOneGoes) {
  config_.uplink_subnet = "10.213.0.0/30";
  ASSERT_NO_FATAL_FAILURE(Restart());
  ASSERT_OK_AND_ASSIGN(os::Netlink host, os::Netlink::Open());
  std::vector<os::LinkAddress> all = host.ListAddresses().value();
  std::string found;
  for (const os::LinkAddress& a : all) found += a.address.ToString() + " ";
  EXPECT_THAT(found, HasSubstr("10.213.0.1 "));
  EXPECT_THAT(found, Not(HasSubstr("10.212.0.1 ")));
}

TEST_F(LinuxNetworkTest, WhenTheHostHasForeignRules_LeavesThem) {
  ASSERT_OK(worker_->Run(-1, []() -> absl::Status {
    ASSIGN_OR_RETURN(os::Nft nft, os::Nft::Open());
    return nft.Run("add table inet firewall");
  }));
  ASSERT_NO_FATAL_FAILURE(Restart());
  EXPECT_OK(network_->Teardown());
  EXPECT_THAT(Rules(host_), HasSubstr("firewall"));
  EXPECT_THAT(Rules(host_), Not(HasSubstr(kInstance)));
  ASSERT_OK(FlushRules(host_));
  ASSERT_NO_FATAL_FAILURE(Restart());
}

TEST_F(LinuxNetworkTest, WhenTheUplinkSubnetIsTaken_SaysByWhom) {
  EXPECT_OK(network_->Teardown());
  ASSERT_OK_AND_ASSIGN(os::Netlink host, os::Netlink::Open());
  os::Link lo = host.GetLink("lo").value();
  os::IpAddress address = os::IpAddress::Parse("10.212.0.1").value();
  ASSERT_OK(host.AddAddress(lo.index, address, 32));
  network_ = std::make_unique<LinuxNetwork>(config_);
  EXPECT_THAT(network_->Recover(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("in use by lo")));
  ASSERT_OK(host.DeleteAddress(lo.index, address, 32));
  EXPECT_OK(network_->Recover());
}

TEST_F(LinuxNetworkTest, WhenTornDownByANewProcess_NothingIsLeft) {
  one_.Reset();
  network_ = std::make_unique<LinuxNetwork>(config_);  // not recovered
  EXPECT_OK(network_->Teardown());
  EXPECT_OK(network_->Teardown());
  ASSERT_OK_AND_ASSIGN(os::Netlink host, os::Netlink::Open());
  std::vector<os::Link> links = host.ListLinks().value();
  for (const os::Link& link : links) {
    EXPECT_THAT(link.name, Not(HasSubstr(kInstance)));
  }
  EXPECT_NE(access((dir_ / "netns").c_str(), F_OK), 0);
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    EXPECT_THAT(line, Not(HasSubstr(dir_.path())));
  }
  ASSERT_NO_FATAL_FAILURE(Restart());
}

}  // namespace
}  // namespace bulwark::netmesh
