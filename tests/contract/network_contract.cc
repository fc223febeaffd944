#include "tests/contract/network_contract.h"

#include <gmock/gmock.h>
#include <sys/socket.h>

#include <vector>

#include "base/testing/status_matchers.h"

namespace bulwark::netmesh {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::StatusIs;

constexpr auto kAlreadyExists = absl::StatusCode::kAlreadyExists;
constexpr auto kFailedPrecondition = absl::StatusCode::kFailedPrecondition;
constexpr auto kInvalidArgument = absl::StatusCode::kInvalidArgument;
constexpr auto kNotFound = absl::StatusCode::kNotFound;

const NetworkSpec kRed{"red", "10.210.0.0/24", "fd00:1::/64"};
const NetworkSpec kBlue{"blue", "10.210.1.0/24", ""};
const SandboxSpec kOne{"one", "red", "10.210.0.2", "fd00:1::2"};

std::vector<std::string> Ids(const std::vector<Sandbox>& sandboxes) {
  std::vector<std::string> ids;
  for (const Sandbox& s : sandboxes) ids.push_back(s.spec.id);
  return ids;
}

}  // namespace

void NetworkContract::SetUp() {
  world_ = GetParam()();
  Restart();
}

void NetworkContract::TearDown() {
  for (const Sandbox& s : network_->ListSandboxes()) {
    EXPECT_OK(network_->DeleteSandbox(s.spec.id));
  }
  for (const NetworkInfo& n : network_->ListNetworks()) {
    EXPECT_OK(network_->DeleteNetwork(n.spec.id));
  }
}

void NetworkContract::Restart() {
  network_.reset();
  network_ = world_->Make();
  ASSERT_OK(network_->Recover());
}

TEST_P(NetworkContract, WhenNotRecovered_RefusesChanges) {
  std::unique_ptr<Network> raw = world_->Make();
  EXPECT_THAT(raw->EnsureNetwork(kRed), StatusIs(kFailedPrecondition));
  EXPECT_THAT(raw->EnsureSandbox(kOne), StatusIs(kFailedPrecondition));
  EXPECT_THAT(raw->DeleteNetwork("red"), StatusIs(kFailedPrecondition));
  EXPECT_THAT(raw->OpenSocket(AF_INET, SOCK_STREAM, 0),
              StatusIs(kFailedPrecondition));
}

TEST_P(NetworkContract, WhenANetworkIsMade_GivesItsGateways) {
  ASSERT_OK_AND_ASSIGN(NetworkInfo info, network_->EnsureNetwork(kRed));
  EXPECT_EQ(info.gateway, "10.210.0.1");
  EXPECT_EQ(info.gateway6, "fd00:1::1");
  EXPECT_OK(network_->EnsureNetwork(kRed));
  ASSERT_OK_AND_ASSIGN(info, network_->EnsureNetwork(kBlue));
  EXPECT_EQ(info.gateway6, "");
  EXPECT_EQ(network_->ListNetworks().size(), 2u);
}

TEST_P(NetworkContract, WhenASpecIsWrong_ChangesNothing) {
  EXPECT_THAT(network_->EnsureNetwork({"no/path", "10.210.0.0/24", ""}),
              StatusIs(kInvalidArgument));
  EXPECT_THAT(network_->EnsureNetwork({"red", "10.210.0.7/24", ""}),
              StatusIs(kInvalidArgument, HasSubstr("10.210.0.0/24")));
  ASSERT_OK(network_->EnsureNetwork(kBlue));
  for (const SandboxSpec& spec :
       std::vector<SandboxSpec>{{"../x", "blue", "10.210.1.2", ""},
                                {"one", "blue", "10.210.0.2", ""},
                                {"one", "blue", "10.210.1.1", ""},
                                {"one", "blue", "10.210.1.2", "fd00::2"},
                                {"one", "blue", "", ""}}) {
    EXPECT_THAT(network_->EnsureSandbox(spec), StatusIs(kInvalidArgument));
  }
  EXPECT_EQ(network_->ListNetworks().size(), 1u);
  EXPECT_THAT(network_->ListSandboxes(), IsEmpty());
}

TEST_P(NetworkContract, WhenSubnetsClash_Refuses) {
  ASSERT_OK(network_->EnsureNetwork(kRed));
  EXPECT_THAT(network_->EnsureNetwork({"red", "10.210.9.0/24", ""}),
              StatusIs(kAlreadyExists));
  EXPECT_THAT(network_->EnsureNetwork({"green", "10.210.0.128/25", ""}),
              StatusIs(kAlreadyExists, HasSubstr("red")));
  EXPECT_THAT(network_->EnsureNetwork({"green", "10.208.0.0/12", ""}),
              StatusIs(kAlreadyExists));
  EXPECT_THAT(network_->EnsureNetwork({"green", "10.9.0.0/24", "fd00:1::/64"}),
              StatusIs(kAlreadyExists));
}

TEST_P(NetworkContract, WhenASandboxIsMade_IsFoundAgain) {
  ASSERT_OK(network_->EnsureNetwork(kRed));
  ASSERT_OK_AND_ASSIGN(Sandbox first, network_->EnsureSandbox(kOne));
  ASSERT_OK_AND_ASSIGN(Sandbox second, network_->EnsureSandbox(kOne));
  EXPECT_EQ(first.netns_path, second.netns_path);
  EXPECT_NE(first.netns_path, network_->dataplane_netns());
  EXPECT_THAT(Ids(network_->ListSandboxes()), ::testing::ElementsAre("one"));
}

TEST_P(NetworkContract, WhenASandboxIsPrepared_ItIsListedButNotConnected) {
  ASSERT_OK(network_->EnsureNetwork(kRed));
  EXPECT_FALSE(network_->FindSandbox("one").has_value());
  ASSERT_OK_AND_ASSIGN(const Sandbox first, network_->PrepareSandbox(kOne));
  ASSERT_OK_AND_ASSIGN(const Sandbox second, network_->PrepareSandbox(kOne));
  EXPECT_EQ(second.netns_path, first.netns_path);
  EXPECT_THAT(Ids(network_->ListSandboxes()), ::testing::ElementsAre("one"));
  ASSERT_TRUE(network_->FindSandbox("one").has_value());
  EXPECT_EQ(network_->FindSandbox("one")->netns_path, first.netns_path);
  // Nobody else gets what it has.
  EXPECT_THAT(network_->PrepareSandbox({"two", "red", "10.210.0.2", ""}),
              StatusIs(kAlreadyExists, HasSubstr("one")));
  EXPECT_THAT(network_->DeleteNetwork("red"), StatusIs(kFailedPrecondition));
  ASSERT_OK_AND_ASSIGN(auto traffic, network_->ReadTraffic());
  EXPECT_THAT(traffic, IsEmpty());
  EXPECT_OK(network_->ConnectSandbox("one"));
  EXPECT_OK(network_->ConnectSandbox("one"));
  ASSERT_OK_AND_ASSIGN(traffic, network_->ReadTraffic());
  EXPECT_EQ(traffic.size(), 1u);
}

TEST_P(NetworkContract, WhenOneIsConnectedThatWasNotPrepared_IsNotFound) {
  EXPECT_THAT(world_->Make()->ConnectSandbox("one"),
              StatusIs(kFailedPrecondition));
  EXPECT_THAT(network_->ConnectSandbox("one"),
              StatusIs(kNotFound, HasSubstr("one")));
  ASSERT_OK(network_->EnsureNetwork(kRed));
  ASSERT_OK(network_->PrepareSandbox(kOne));
  ASSERT_OK(network_->DeleteSandbox("one"));
  EXPECT_THAT(network_->ConnectSandbox("one"), StatusIs(kNotFound));
  EXPECT_FALSE(network_->FindSandbox("one").has_value());
  EXPECT_OK(network_->EnsureSandbox(kOne));
}

TEST_P(NetworkContract, WhenTheDaemonDiesBeforeItIsConnected_ItIsGone) {
  SandboxSpec one = kOne;
  one.ids = {1879048192, 65536};
  ASSERT_OK(network_->EnsureNetwork(kRed));
  ASSERT_OK(network_->PrepareSandbox(one));
  ASSERT_NO_FATAL_FAILURE(Restart());
  EXPECT_THAT(network_->ListSandboxes(), IsEmpty());
  EXPECT_THAT(network_->ConnectSandbox("one"), StatusIs(kNotFound));
  // Nor does it hold anything.
  EXPECT_OK(network_->EnsureSandbox(kOne));
  EXPECT_THAT(Ids(network_->ListSandboxes()), ::testing::ElementsAre("one"));
}

TEST_P(NetworkContract, WhenASandboxIsMade_ItsTrafficIsCounted) {
  EXPECT_THAT(world_->Make()->ReadTraffic(), StatusIs(kFailedPrecondition));
  ASSERT_OK(network_->EnsureNetwork(kRed));
  ASSERT_OK_AND_ASSIGN(auto traffic, network_->ReadTraffic());
  EXPECT_THAT(traffic, IsEmpty());
  ASSERT_OK(network_->EnsureSandbox(kOne));
  ASSERT_OK_AND_ASSIGN(traffic, network_->ReadTraffic());
  ASSERT_EQ(traffic.size(), 1u);
  EXPECT_GE(traffic.at("one").receive_bytes, 0);
  EXPECT_GE(traffic.at("one").transmit_bytes, 0);
}

TEST_P(NetworkContract, WhenAnAddressIsHeld_RefusesASecondHolder) {
  ASSERT_OK(network_->EnsureNetwork(kRed));
  ASSERT_OK(network_->EnsureSandbox(kOne));
  EXPECT_THAT(network_->EnsureSandbox({"two", "red", "10.210.0.2", ""}),
              StatusIs(kAlreadyExists, HasSubstr("one")));
  EXPECT_THAT(
      network_->EnsureSandbox({"two", "red", "10.210.0.3", "fd00:1::2"}),
      StatusIs(kAlreadyExists));
  EXPECT_THAT(network_->EnsureSandbox({"one", "red", "10.210.0.3", ""}),
              StatusIs(kAlreadyExists));
  // At once, although the kernel may still be taking the first one down.
  ASSERT_OK(network_->DeleteSandbox("one"));
  EXPECT_OK(network_->EnsureSandbox({"two", "red", "10.210.0.2", ""}));
  ASSERT_OK(network_->DeleteSandbox("two"));
  EXPECT_OK(network_->EnsureSandbox(kOne));
}

TEST_P(NetworkContract, WhenASandboxHasIds_NobodyElseGetsThem) {
  SandboxSpec one = kOne;
  one.ids = {1879048192, 65536};
  SandboxSpec two = {"two", "red", "10.210.0.3", ""};
  two.ids = {1879048192 + 65535, 65536};
  ASSERT_OK(network_->EnsureNetwork(kRed));
  ASSERT_OK(network_->EnsureSandbox(one));
  EXPECT_OK(network_->EnsureSandbox(one));
  EXPECT_THAT(network_->EnsureSandbox(kOne), StatusIs(kAlreadyExists));
  EXPECT_THAT(network_->EnsureSandbox(two),
              StatusIs(kAlreadyExists, HasSubstr("one")));
  // They are known after a restart.
  ASSERT_NO_FATAL_FAILURE(Restart());
  ASSERT_EQ(network_->ListSandboxes().size(), 1u);
  EXPECT_EQ(network_->ListSandboxes()[0].spec.ids, one.ids);
  EXPECT_THAT(network_->EnsureSandbox(two), StatusIs(kAlreadyExists));
  two.ids.first = one.ids.first + 65536;
  EXPECT_OK(network_->EnsureSandbox(two));
  // And free once the sandbox is gone.
  ASSERT_OK(network_->DeleteSandbox("one"));
  ASSERT_OK(network_->DeleteSandbox("two"));
  two.ids = one.ids;
  EXPECT_OK(network_->EnsureSandbox(two));
}

TEST_P(NetworkContract, WhenTheNetworkIsMissing_IsNotFound) {
  EXPECT_THAT(network_->EnsureSandbox(kOne), StatusIs(kNotFound));
}

TEST_P(NetworkContract, WhenDeleting_IsIdempotentAndOrdered) {
  ASSERT_OK(network_->EnsureNetwork(kRed));
  ASSERT_OK(network_->EnsureSandbox(kOne));
  EXPECT_THAT(network_->DeleteNetwork("red"), StatusIs(kFailedPrecondition));
  EXPECT_OK(network_->DeleteSandbox("one"));
  EXPECT_OK(network_->DeleteSandbox("one"));
  EXPECT_OK(network_->DeleteNetwork("red"));
  EXPECT_OK(network_->DeleteNetwork("red"));
  EXPECT_OK(network_->DeleteSandbox("never/was"));
  EXPECT_THAT(network_->ListNetworks(), IsEmpty());
  EXPECT_THAT(network_->ListSandboxes(), IsEmpty());
}

TEST_P(NetworkContract, WhenTheProcessRestarts_FindsEverything) {
  ASSERT_OK(network_->EnsureNetwork(kRed));
  ASSERT_OK(network_->EnsureNetwork(kBlue));
  ASSERT_OK_AND_ASSIGN(Sandbox one, network_->EnsureSandbox(kOne));
  ASSERT_OK(network_->EnsureSandbox({"two", "blue", "10.210.1.2", ""}));
  ASSERT_OK(network_->DeleteSandbox("two"));
  ASSERT_NO_FATAL_FAILURE(Restart());
  ASSERT_EQ(network_->ListNetworks().size(), 2u);
  EXPECT_EQ(network_->ListNetworks()[1].spec.subnet6, "fd00:1::/64");
  std::vector<Sandbox> found = network_->ListSandboxes();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].spec.id, "one");
  EXPECT_EQ(found[0].spec.network, "red");
  EXPECT_EQ(found[0].spec.address, "10.210.0.2");
  EXPECT_EQ(found[0].spec.address6, "fd00:1::2");
  EXPECT_EQ(found[0].netns_path, one.netns_path);
  // And again, on what it found.
  EXPECT_OK(network_->Recover());
  EXPECT_EQ(network_->ListSandboxes().size(), 1u);
}

TEST_P(NetworkContract, WhenAskedForASocket_GivesOneCloseOnExec) {
  ASSERT_OK_AND_ASSIGN(UniqueFd fd,
                       network_->OpenSocket(AF_INET, SOCK_STREAM, 0));
  int type = 0;
  socklen_t size = sizeof(type);
  ASSERT_EQ(getsockopt(fd.get(), SOL_SOCKET, SO_TYPE, &type, &size), 0);
  EXPECT_EQ(type, SOCK_STREAM);
  EXPECT_FALSE(network_->OpenSocket(AF_INET, -1, 0).ok());
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(NetworkContract);

}  // namespace bulwark::netmesh
