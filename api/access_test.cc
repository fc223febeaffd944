// Sockets, identities and rules, without gRPC's server.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "absl/strings/str_cat.h"
#include "api/gate.h"
#include "api/identity.h"
#include "api/listen_socket.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"

namespace bulwark::api {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;

std::pair<UniqueFd, UniqueFd> SocketPair() {
  int fds[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Peer Named(const std::string& name) {
  Peer peer;
  peer.identity.set_name(name);
  return peer;
}

TEST(GateTest, WhenTheConnectionIsUnknown_NobodyEnters) {
  IdentityTable table;
  auto [ours, theirs] = SocketPair();
  ASSERT_OK_AND_ASSIGN(const int number,
                       table.Add(std::move(ours), Named("alice")));
  UniqueFd connection(number);
  const std::string peer = absl::StrCat("fd:", number);
  std::string asked;
  testing::FakeClock clock;
  Gate gate(
      table,
      [&](const Peer& who, const std::string& project) {
        asked = absl::StrCat(who.identity.name(), "@", project);
        return Rights{Right::kExec};
      },
      nullptr, clock);
  const AccessRule& exec = *FindRule("/bulwark.v1.Containers/Exec");
  const AccessRule& stop = *FindRule("/bulwark.v1.System/Shutdown");

  ASSERT_OK_AND_ASSIGN(const Caller caller, gate.Enter(peer, exec, nullptr));
  EXPECT_EQ(caller.identity().name(), "alice");
  EXPECT_EQ(asked, "alice@*");
  EXPECT_THAT(gate.Enter(peer, stop, nullptr),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       "call System.Shutdown: alice lacks the right \"admin\" "
                       "in project default"));
  EXPECT_THAT(gate.Enter("fd:1", exec, nullptr),
              StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(gate.Enter("unix:", exec, nullptr),
              StatusIs(absl::StatusCode::kUnauthenticated));
}

TEST(IdentityTest, WhenAsked_TheKernelNamesThePeer) {
  auto [ours, theirs] = SocketPair();
  UserNames names;

  ASSERT_OK_AND_ASSIGN(const Peer peer, PeerOf(ours.get(), names));

  EXPECT_EQ(peer.identity.uid(), getuid());
  EXPECT_EQ(peer.identity.gid(), getgid());
  EXPECT_EQ(peer.identity.pid(), getpid());
  std::vector<gid_t> groups(getgroups(0, nullptr));
  getgroups(groups.size(), groups.data());
  EXPECT_EQ(peer.groups, groups);
  EXPECT_EQ(names.FindGroup(0), "root");
  EXPECT_EQ(names.FindGroup(3999999), "gid:3999999");
  EXPECT_EQ(names.Find(0), "root");
  EXPECT_EQ(names.Find(3999999), "uid:3999999");
}

TEST(IdentityTest, WhenAConnectionCloses_ItsNumberNamesNobody) {
  IdentityTable table;
  auto [ours, theirs] = SocketPair();
  ASSERT_OK_AND_ASSIGN(const int number,
                       table.Add(std::move(ours), Named("alice")));
  const std::string peer = absl::StrCat("fd:", number);
  EXPECT_EQ(table.Find(peer)->identity.name(), "alice");

  close(number);
  EXPECT_FALSE(table.Find(peer).has_value());
  // Not even when something else has the number now.
  auto [other, other_peer] = SocketPair();
  ASSERT_EQ(dup2(other.get(), number), number);
  UniqueFd reused(number);
  EXPECT_FALSE(table.Find(peer).has_value());
  EXPECT_EQ(table.Sweep(), 0);
}

TEST(IdentityTest, WhenConnectionsComeAndGo_NumbersAreNotReusedSoon) {
  IdentityTable table(300);
  std::set<int> numbers;
  for (int i = 0; i < 200; ++i) {
    auto [ours, theirs] = SocketPair();
    ASSERT_OK_AND_ASSIGN(const int number,
                         table.Add(std::move(ours), Named("x")));
    EXPECT_TRUE(numbers.insert(number).second) << number;
    close(number);
  }
  EXPECT_EQ(table.Sweep(), 0);
}

TEST(IdentityTest, WhenNumbersRunOut_TheyStartAgain) {
  rlimit old;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
  rlimit low = old;
  low.rlim_cur = 64;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  {
    IdentityTable table;  // from 32 then
    for (int i = 0; i < 100; ++i) {
      auto [ours, theirs] = SocketPair();
      ASSERT_OK_AND_ASSIGN(const int number,
                           table.Add(std::move(ours), Named("x")));
      EXPECT_GE(number, 32);
      close(number);
    }
    // All taken: an error, and nothing leaks.
    std::vector<UniqueFd> held;
    absl::Status status;
    while (held.size() < 64) {
      int fds[2];
      if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) break;
      UniqueFd ours(fds[0]);
      UniqueFd theirs(fds[1]);
      auto number = table.Add(std::move(ours), Named("x"));
      status = number.status();
      if (!status.ok()) break;
      held.emplace_back(*number);
    }
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted));
    EXPECT_EQ(table.Sweep(), held.size());
  }
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
}

class ListenSocketTest : public ::testing::Test {
 protected:
  bool CanConnect() {
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, path_.c_str(), sizeof(address.sun_path) - 1);
    return connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
                   sizeof(address)) == 0;
  }

  testing::TempDir dir_;
  const std::string path_ = dir_ / "api.sock";
};

TEST_F(ListenSocketTest, WhenOpen_ItHasItsModeAndGoesWithItsOwner) {
  {
    ASSERT_OK_AND_ASSIGN(ListenSocket socket, ListenSocket::Open(path_, ""));
    struct stat info;
    ASSERT_EQ(lstat(path_.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0660);
    EXPECT_TRUE(CanConnect());
    EXPECT_NE(access((path_ + ".new").c_str(), F_OK), 0);
  }
  EXPECT_NE(access(path_.c_str(), F_OK), 0);
}

TEST_F(ListenSocketTest, WhenAGroupIsGiven_ItOwnsTheSocket) {
  if (getuid() != 0) GTEST_SKIP() << "needs root to give a file away";
  ASSERT_OK_AND_ASSIGN(ListenSocket socket, ListenSocket::Open(path_, "54321"));
  struct stat info;
  ASSERT_EQ(lstat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_gid, 54321);
}

TEST_F(ListenSocketTest, WhenTheGroupIsUnknown_NothingIsLeft) {
  EXPECT_THAT(
      ListenSocket::Open(path_, "no-such-group-here"),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("no-such-group-here")));
  EXPECT_NE(access((path_ + ".new").c_str(), F_OK), 0);
  EXPECT_OK(ListenSocket::Open(path_, ""));
}

TEST_F(ListenSocketTest, WhenAnotherDaemonServesIt_OpenIsRefused) {
  ASSERT_OK_AND_ASSIGN(ListenSocket socket, ListenSocket::Open(path_, ""));

  EXPECT_THAT(ListenSocket::Open(path_, ""),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("another daemon")));
  EXPECT_TRUE(CanConnect());
}

TEST_F(ListenSocketTest, WhenAnotherProcessServesIt_OpenIsRefused) {
  UniqueFd other(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, path_.c_str(), sizeof(address.sun_path) - 1);
  ASSERT_EQ(
      bind(other.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)),
      0);
  ASSERT_EQ(listen(other.get(), 1), 0);
  EXPECT_THAT(ListenSocket::Open(path_, ""),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("another process")));

  // Its owner dies: what it left is replaced.
  other.Reset();
  ASSERT_OK_AND_ASSIGN(ListenSocket socket, ListenSocket::Open(path_, ""));
  EXPECT_TRUE(CanConnect());
}

TEST_F(ListenSocketTest, WhenAFileIsInTheWay_ItIsNotReplaced) {
  std::ofstream(path_) << "precious";

  EXPECT_THAT(ListenSocket::Open(path_, ""),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_EQ(access(path_.c_str(), F_OK), 0);
}

TEST_F(ListenSocketTest, WhenThePathIsTooLong_TheLimitIsTold) {
  EXPECT_THAT(ListenSocket::Open("/tmp/" + std::string(120, 'a'), ""),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("103")));
}

TEST_F(ListenSocketTest, WhenThePathWasRemoved_ItIsRestored) {
  const std::string group = getuid() == 0 ? "54321" : "";
  ASSERT_OK_AND_ASSIGN(ListenSocket socket, ListenSocket::Open(path_, group));
  struct stat before, after;
  ASSERT_EQ(lstat(path_.c_str(), &before), 0);
  EXPECT_FALSE(socket.IsGone());

  ASSERT_EQ(unlink(path_.c_str()), 0);
  EXPECT_TRUE(socket.IsGone());
  ASSERT_OK(socket.Restore());

  ASSERT_EQ(lstat(path_.c_str(), &after), 0);
  EXPECT_EQ(after.st_mode, before.st_mode);
  EXPECT_EQ(after.st_uid, before.st_uid);
  EXPECT_EQ(after.st_gid, before.st_gid);
  EXPECT_TRUE(CanConnect());
  EXPECT_FALSE(socket.IsGone());
}

TEST_F(ListenSocketTest, WhenTheFolderIsGone_RestoreSaysSoAndMayBeRepeated) {
  const std::string folder = dir_ / "run";
  ASSERT_EQ(mkdir(folder.c_str(), 0700), 0);
  const std::string path = folder + "/api.sock";
  ASSERT_OK_AND_ASSIGN(ListenSocket socket, ListenSocket::Open(path, ""));
  std::filesystem::remove_all(folder);

  EXPECT_THAT(socket.Restore(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(path)));
  ASSERT_EQ(mkdir(folder.c_str(), 0700), 0);
  EXPECT_OK(socket.Restore());
  EXPECT_EQ(access(path.c_str(), F_OK), 0);
}

TEST_F(ListenSocketTest, WhenSomethingElseIsAtThePath_ItIsNotReplaced) {
  ASSERT_OK_AND_ASSIGN(ListenSocket socket, ListenSocket::Open(path_, ""));
  unlink(path_.c_str());
  std::ofstream(path_) << "precious";

  EXPECT_FALSE(socket.IsGone());
  EXPECT_THAT(socket.Restore(), StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_F(ListenSocketTest, WhenAnotherTookThePath_ItsSocketStays) {
  {
    ASSERT_OK_AND_ASSIGN(ListenSocket socket, ListenSocket::Open(path_, ""));
    unlink(path_.c_str());
    std::ofstream(path_) << "other";
  }
  EXPECT_EQ(access(path_.c_str(), F_OK), 0);
}

}  // namespace
}  // namespace bulwark::api
