// A proxy under load whose endpoints and listeners change.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <map>
#include <string>

#include "tests/load/data_plane_fixture.h"

namespace bulwark::load {
namespace {

using bulwark::testing::IsOk;
using lb::testing::Eventually;
using lb::testing::InDataplane;

namespace v1 = dataplane::v1;

class DataPlaneLoadTest : public DataPlaneFixture {};

class RollTest : public DataPlaneLoadTest,
                 public ::testing::WithParamInterface<Mode> {};

TEST_P(RollTest, WhenEndpointsAreReplacedOneByOne_NoRequestFails) {
  std::map<std::string, std::unique_ptr<BackendProcess>> running;
  for (const char* name : {"a0", "b0"}) {
    running[name] = std::make_unique<BackendProcess>(name);
    snapshot_.Ready(name, running[name]->port());
  }
  Apply();
  // Enough that requests are under way when the next change comes.
  const uint64_t enough = GetParam() == Mode::kPerRequest ? 50 : 1;
  StartLoad(GetParam());
  for (int generation = 1; generation <= 3; ++generation) {
    for (const char* slot : {"a", "b"}) {
      const std::string old = absl::StrCat(slot, generation - 1);
      const std::string fresh = absl::StrCat(slot, generation);
      running[fresh] = std::make_unique<BackendProcess>(fresh);
      snapshot_.Ready(fresh, running[fresh]->port());
      snapshot_.Set(old, running[old]->port(), v1::Endpoint::DRAINING);
      Apply();
      // A kept-alive connection stays until its backend closes it.
      if (GetParam() == Mode::kPerRequest) {
        EXPECT_TRUE(Eventually([&] { return StatsOf(old).active() == 0; }));
      }
      running[old]->End(SIGTERM);
      snapshot_.Remove(old);
      Apply();
      EXPECT_TRUE(Eventually(
          [&] { return StatsOf(fresh).connections_total() >= enough; }));
    }
  }
  // However fast the changes went by, the load was a load.
  AwaitAnswers(100);
  EXPECT_EQ(StopLoad().failed, 0u) << ToJson(report_);
  EXPECT_GE(report_.by_backend.size(), 4u) << ToJson(report_);
}

INSTANTIATE_TEST_SUITE_P(Modes, RollTest,
                         ::testing::Values(Mode::kPerRequest, Mode::kKeepAlive),
                         [](const auto& info) -> std::string {
                           return info.param == Mode::kPerRequest ? "PerRequest"
                                                                  : "KeepAlive";
                         });

TEST_F(DataPlaneLoadTest, WhenPoolIsPausedUnderLoad_RequestsWait) {
  BackendProcess a("a");
  snapshot_.Ready("a", a.port());
  Apply();
  StartLoad(Mode::kPerRequest);
  AwaitServed("a", 100);
  snapshot_.pool().set_paused(true);
  Apply();
  EXPECT_TRUE(Eventually([&] {
    auto stats = proxy().Stats(kTimeout);
    return stats.ok() && stats->pools(0).held() > 0;
  }));
  snapshot_.pool().set_paused(false);
  Apply();
  AwaitServed("a", 100);
  EXPECT_EQ(StopLoad().failed, 0u) << ToJson(report_);
}

TEST_F(DataPlaneLoadTest, WhenPortIsTaken_ListenerErrorSaysSo) {
  lb::testing::Backend stranger;
  snapshot_.raw().mutable_listeners(0)->set_port(stranger.port());
  ASSERT_OK_AND_ASSIGN(auto applied, proxy().Apply(snapshot_.Next(), kTimeout));
  ASSERT_EQ(applied.errors_size(), 1);
  EXPECT_EQ(applied.errors(0).error_number(), EADDRINUSE);
  EXPECT_EQ(applied.errors(0).message(),
            absl::StrCat("bind 127.0.0.1:", stranger.port(),
                         ": Address already in use"));
}

TEST_F(DataPlaneLoadTest, WhenAnotherInstallationHasThePort_ItIsNotShared) {
  Apply();
  lb::testing::Installation other;
  ASSERT_OK(other.proxy().Start());
  ASSERT_OK_AND_ASSIGN(auto applied,
                       other.proxy().Apply(snapshot_.raw(), kTimeout));
  ASSERT_EQ(applied.errors_size(), 1);
  EXPECT_EQ(applied.errors(0).error_number(), EADDRINUSE);
}

TEST_F(DataPlaneLoadTest, WhenListenerIsInTheDataplane_HostDoesNotSeeIt) {
  BackendProcess a("a");
  snapshot_.Ready("a", a.port());
  v1::Listener& listener = *snapshot_.raw().mutable_listeners(0);
  listener.set_place(v1::Listener::DATAPLANE);
  // Not given to any link: it may come later.
  v1::Listener& later = *snapshot_.raw().add_listeners();
  later = listener;
  later.set_key("later");
  later.set_address("10.99.0.1");
  Apply();
  EXPECT_FALSE(lb::testing::ConnectTo(port_).ok());
  bool connected = false;
  InDataplane([&] { connected = lb::testing::ConnectTo(port_).ok(); });
  EXPECT_TRUE(connected);
}

// One A query for `name` to 127.0.0.1:53; the four bytes of the answer.
std::string AskForAddress(const std::string& name) {
  std::string query("\x12\x34\x01\0\0\x01\0\0\0\0\0\0", 12);
  query += static_cast<char>(name.size()) + name + std::string("\0\0\1\0\1", 5);
  UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const timeval limit = {2, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  sockaddr_in server = {};
  server.sin_family = AF_INET;
  server.sin_port = htons(53);
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sendto(fd.get(), query.data(), query.size(), 0,
         reinterpret_cast<sockaddr*>(&server), sizeof(server));
  char answer[512];
  const ssize_t n = recv(fd.get(), answer, sizeof(answer), 0);
  return n < 4 ? "" : std::string(answer + query.size() + 12, 4);
}

TEST_F(DataPlaneLoadTest, WhenViewIsApplied_NamesResolveAlsoAfterARestart) {
  v1::DnsView& view = *snapshot_.raw().add_dns_views();
  view.set_listen_address("127.0.0.1");
  v1::DnsRecord& record = *view.add_records();
  record.set_name("web");
  record.add_ipv4("10.1.2.3");
  Apply();
  std::string answer;
  InDataplane([&] { answer = AskForAddress("web"); });
  EXPECT_EQ(answer, std::string("\x0a\x01\x02\x03"));
  const pid_t old = installation_.proxy_pid();
  KillProxy();
  ASSERT_TRUE(Eventually([&] {
    const pid_t now = installation_.proxy_pid();
    return now > 0 && now != old;
  }));
  InDataplane([&] { answer = AskForAddress("web"); });
  EXPECT_EQ(answer, std::string("\x0a\x01\x02\x03"));
}

}  // namespace
}  // namespace bulwark::load

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (!bulwark::lb::testing::EnterOwnNamespaces()) return 1;
  return RUN_ALL_TESTS();
}
