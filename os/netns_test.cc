#include "os/netns.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "os/netlink.h"
#include "os/nft.h"
#include "os/nft_generation.h"

namespace bulwark::os {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;
using testing::TempDir;

class OwnNamespaces final : public ::testing::Environment {
 public:
  void SetUp() override {
    CHECK(unshare(CLONE_NEWNET | CLONE_NEWNS) == 0);
    CHECK(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
  }
};
const auto* const kOwn = ::testing::AddGlobalTestEnvironment(new OwnNamespaces);

class NetnsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(worker_, NetnsWorker::Start());
    ASSERT_OK_AND_ASSIGN(other_, worker_->Create());
  }
  // In other_.
  Netlink Inside() {
    std::optional<Netlink> netlink;
    EXPECT_OK(worker_->Run(other_.get(), [&]() -> absl::Status {
      ASSIGN_OR_RETURN(netlink, Netlink::Open());
      return absl::OkStatus();
    }));
    return *std::move(netlink);
  }

  TempDir dir_;
  std::unique_ptr<NetnsWorker> worker_;
  UniqueFd other_;
};

TEST_F(NetnsTest, WhenRunElsewhere_OnlyTheWorkerIsThere) {
  ASSERT_OK_AND_ASSIGN(UniqueFd here, CurrentNetns());
  EXPECT_FALSE(SameNetns(here.get(), other_.get()));
  EXPECT_OK(worker_->Run(other_.get(), [&]() -> absl::Status {
    ASSIGN_OR_RETURN(UniqueFd there, CurrentNetns());
    EXPECT_TRUE(SameNetns(there.get(), other_.get()));
    return absl::OkStatus();
  }));
  EXPECT_OK(worker_->Run(-1, [&]() -> absl::Status {
    ASSIGN_OR_RETURN(UniqueFd home, CurrentNetns());
    EXPECT_TRUE(SameNetns(home.get(), here.get()));
    return absl::OkStatus();
  }));
  EXPECT_THAT(worker_->Run(-1, [] { return absl::UnavailableError("mine"); }),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_FALSE(worker_->Run(1 << 20, [] { return absl::OkStatus(); }).ok());
}

TEST_F(NetnsTest, WhenPinned_OutlivesItsDescriptors) {
  const std::string pin = dir_ / "pin";
  ASSERT_OK(MakePrivateMount(dir_.path()));
  ASSERT_OK(MakePrivateMount(dir_.path()));
  EXPECT_THAT(OpenNetns(pin), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK(PinNetns(other_.get(), pin));
  EXPECT_THAT(PinNetns(other_.get(), pin),
              StatusIs(absl::StatusCode::kAlreadyExists));
  ASSERT_OK_AND_ASSIGN(UniqueFd again, OpenNetns(pin));
  EXPECT_TRUE(SameNetns(again.get(), other_.get()));
  EXPECT_OK(UnpinNetns(pin));
  EXPECT_OK(UnpinNetns(pin));
  EXPECT_NE(access(pin.c_str(), F_OK), 0);
  // What a reboot leaves: the file without its mount.
  UniqueFd file(open(pin.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0400));
  EXPECT_THAT(OpenNetns(pin), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_OK(PinNetns(other_.get(), pin));
  EXPECT_OK(UnpinNetns(pin));
  ASSERT_EQ(umount2(dir_.path().c_str(), MNT_DETACH), 0);
}

TEST_F(NetnsTest, WhenPinnedTwice_NothingOfEitherIsLeft) {
  const std::string pin = dir_ / "pin";
  ASSERT_OK(MakePrivateMount(dir_.path()));
  ASSERT_OK(PinNetns(other_.get(), pin));
  ASSERT_EQ(mount(pin.c_str(), pin.c_str(), nullptr, MS_BIND, nullptr), 0);
  EXPECT_OK(UnpinNetns(pin));
  EXPECT_NE(access(pin.c_str(), F_OK), 0);
  ASSERT_EQ(umount2(dir_.path().c_str(), MNT_DETACH), 0);
}

TEST_F(NetnsTest, WhenThePinIsMountedAtAnotherPathOfIt_SaysThatItIsBusy) {
  const std::string pins = dir_ / "pins", copy = dir_ / "copy";
  for (const std::string& path : {pins, copy}) {
    ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
  }
  ASSERT_OK(MakePrivateMount(pins));
  ASSERT_OK(PinNetns(other_.get(), pins + "/pin"));
  ASSERT_EQ(
      mount(pins.c_str(), copy.c_str(), nullptr, MS_BIND | MS_REC, nullptr), 0);
  EXPECT_THAT(UnpinNetns(pins + "/pin"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("remove"), HasSubstr("busy"))));
  ASSERT_EQ(umount2(copy.c_str(), MNT_DETACH), 0);
  EXPECT_OK(UnpinNetns(pins + "/pin"));
  ASSERT_EQ(umount2(pins.c_str(), MNT_DETACH), 0);
}

TEST_F(NetnsTest, WhenLinksAreMade_ListsWhatWasAsked) {
  ASSERT_OK_AND_ASSIGN(Netlink home, Netlink::Open());
  Netlink inside = Inside();
  ASSERT_OK(home.AddBridge({.name = "br0", .mac = {2, 0, 0, 0, 0, 1}}));
  EXPECT_THAT(home.AddBridge({.name = "br0"}),
              StatusIs(absl::StatusCode::kAlreadyExists));
  ASSERT_OK_AND_ASSIGN(Link bridge, home.GetLink("br0"));
  EXPECT_EQ(bridge.kind, "bridge");
  EXPECT_EQ(FormatMac(bridge.mac), "02:00:00:00:00:01");
  ASSERT_OK(home.AddVeth({.name = "port",
                          .master = bridge.index,
                          .mtu = 1400,
                          .peer_name = "eth0",
                          .peer_netns_fd = other_.get(),
                          .peer_mac = MacAddress{2, 0, 0, 0, 0, 2}}));
  ASSERT_OK_AND_ASSIGN(Link port, home.GetLink("port"));
  ASSERT_OK_AND_ASSIGN(Link eth, inside.GetLink("eth0"));
  EXPECT_EQ(port.master, bridge.index);
  EXPECT_EQ(port.peer, eth.index);
  EXPECT_EQ(eth.mtu, 1400u);
  EXPECT_FALSE(port.up);
  EXPECT_THAT(home.GetLink("eth0"), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK(home.ReplaceBridgeEntry(port.index, eth.mac));
  ASSERT_OK(home.ReplaceBridgeEntry(port.index, eth.mac));
  ASSERT_OK(home.ChangeLink(
      port.index, {.up = true, .alias = "an alias", .locked_port = true}));
  ASSERT_OK_AND_ASSIGN(port, home.GetLink("port"));
  EXPECT_EQ(port.alias, "an alias");
  EXPECT_TRUE(port.up);
  ASSERT_OK(home.DeleteLink(port.index));
  EXPECT_OK(home.DeleteLink(port.index));
  EXPECT_THAT(inside.GetLink("eth0"), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK(home.DeleteLink(bridge.index));
  EXPECT_THAT(home.AddBridge({.name = "a-name-far-too-long"}),
              StatusIs(absl::StatusCode::kOutOfRange,
                       HasSubstr("a-name-far-too-long")));
}

TEST_F(NetnsTest, WhenALinkIsChanged_ItHasWhatWasAskedAndTheRest) {
  ASSERT_OK_AND_ASSIGN(Netlink home, Netlink::Open());
  ASSERT_OK(home.AddBridge({.name = "br0", .mac = {2, 0, 0, 0, 0, 1}}));
  const Link bridge = home.GetLink("br0").value();
  ASSERT_OK(home.AddVeth({.name = "early",
                          .mtu = 1400,
                          .peer_name = "eth0",
                          .peer_netns_fd = other_.get()}));
  const Link early = home.GetLink("early").value();
  EXPECT_EQ(early.master, 0);

  // As long as its name is another's, it is in no bridge, and down.
  EXPECT_THAT(
      home.ChangeLink(
          early.index,
          {.up = true, .name = "br0", .alias = "new", .master = bridge.index}),
      StatusIs(absl::StatusCode::kAlreadyExists));
  ASSERT_OK_AND_ASSIGN(Link link, home.GetLink("early"));
  EXPECT_EQ(link.index, early.index);
  EXPECT_EQ(link.master, 0);
  EXPECT_EQ(link.alias, "");
  EXPECT_FALSE(link.up);

  ASSERT_OK(home.ChangeLink(early.index, {.name = "late",
                                          .mac = MacAddress{2, 0, 0, 0, 0, 3},
                                          .master = bridge.index}));
  EXPECT_THAT(home.GetLink("early"), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK_AND_ASSIGN(link, home.GetLink("late"));
  EXPECT_EQ(link.index, early.index);
  EXPECT_EQ(link.master, bridge.index);
  EXPECT_EQ(FormatMac(link.mac), "02:00:00:00:00:03");
  EXPECT_EQ(link.peer, early.peer);
  EXPECT_EQ(link.mtu, 1400u);
  EXPECT_FALSE(link.up);
  // What is not named stays.
  ASSERT_OK(home.ChangeLink(early.index, {.up = true}));
  ASSERT_OK_AND_ASSIGN(link, home.GetLink("late"));
  EXPECT_TRUE(link.up);
  EXPECT_EQ(link.master, bridge.index);
  EXPECT_EQ(FormatMac(link.mac), "02:00:00:00:00:03");
  ASSERT_OK(home.DeleteLink(early.index));
  ASSERT_OK(home.DeleteLink(bridge.index));
}

TEST_F(NetnsTest, WhenAddressesAndRoutesAreSet_AreIdempotent) {
  Netlink inside = Inside();
  ASSERT_OK_AND_ASSIGN(Link lo, inside.GetLink("lo"));
  ASSERT_OK(inside.ChangeLink(lo.index, {.up = true}));
  IpAddress address = IpAddress::Parse("10.9.0.1").value();
  ASSERT_OK(inside.AddAddress(lo.index, address, 24));
  ASSERT_OK(inside.AddAddress(lo.index, address, 24));
  ASSERT_OK_AND_ASSIGN(std::vector<LinkAddress> all, inside.ListAddresses());
  int found = 0;
  for (const LinkAddress& a : all) {
    found += a.link == lo.index && a.address == address && a.bits == 24;
  }
  EXPECT_EQ(found, 1);
  EXPECT_EQ(inside.DefaultRouteLink().value(), 0);
  Route route{.destination = {IpAddress::V4(0), 0}, .link = lo.index};
  ASSERT_OK(inside.ReplaceRoute(route));
  ASSERT_OK(inside.ReplaceRoute(route));
  EXPECT_EQ(inside.DefaultRouteLink().value(), lo.index);
  ASSERT_OK(inside.DeleteAddress(lo.index, address, 24));
}

TEST_F(NetnsTest, WhenNftRuns_IsOneTransactionInItsNamespace) {
  ASSERT_OK(worker_->Run(other_.get(), []() -> absl::Status {
    ASSIGN_OR_RETURN(Nft nft, Nft::Open());
    RETURN_IF_ERROR(
        nft.Run("add table inet t\n"
                "add set inet t s { type ipv4_addr; }"));
    EXPECT_THAT(nft.Run("add element inet t s { 10.0.0.1 }\n"
                        "delete element inet t s { 10.0.0.2 }"),
                StatusIs(absl::StatusCode::kNotFound));
    EXPECT_THAT(nft.Run("nonsense"),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         HasSubstr("syntax error")));
    ASSIGN_OR_RETURN(std::string text, nft.List("list ruleset", false));
    EXPECT_THAT(text, HasSubstr("set s"));
    EXPECT_THAT(text, ::testing::Not(HasSubstr("10.0.0.1")));
    ASSIGN_OR_RETURN(text, nft.List("list tables", true));
    EXPECT_THAT(text, HasSubstr("\"name\": \"t\""));
    return absl::OkStatus();
  }));
  ASSERT_OK_AND_ASSIGN(Nft home, Nft::Open());
  ASSERT_OK_AND_ASSIGN(std::string text, home.List("list ruleset", false));
  EXPECT_EQ(text, "");
}

TEST_F(NetnsTest, WhenNftChanges_ItsNamespaceCountsOneMoreAndNoOther) {
  ASSERT_OK_AND_ASSIGN(NftGeneration home, NftGeneration::Open());
  const uint32_t at_home = home.Read().value();
  ASSERT_OK(worker_->Run(other_.get(), []() -> absl::Status {
    ASSIGN_OR_RETURN(Nft nft, Nft::Open());
    ASSIGN_OR_RETURN(NftGeneration counter, NftGeneration::Open());
    const uint32_t first = counter.Read().value();
    // Reads, and what fails, are no changes.
    EXPECT_OK(nft.List("list ruleset", false).status());
    EXPECT_FALSE(nft.Run("add table inet u\ndelete table inet none").ok());
    EXPECT_EQ(counter.Read().value(), first);
    RETURN_IF_ERROR(
        nft.Run("add table inet u\ndelete table inet u\n"
                "add table inet u\n"
                "add set inet u s { type ipv4_addr; }"));
    EXPECT_EQ(counter.Read().value(), first + 1);
    RETURN_IF_ERROR(nft.Run("add element inet u s { 10.0.0.1 }"));
    RETURN_IF_ERROR(nft.Run("flush ruleset"));
    EXPECT_EQ(counter.Read().value(), first + 3);
    return absl::OkStatus();
  }));
  EXPECT_EQ(home.Read().value(), at_home);
}

}  // namespace
}  // namespace bulwark::os
