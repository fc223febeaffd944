// Repositories of servers that hang, and the command line that ssh gets.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "base/unique_fd.h"
#include "engine/build/remote_source.h"
#include "os/files.h"
#include "os/program.h"

namespace bulwark::engine::build {
namespace {

using ::bulwark::testing::StatusIs;
using ::bulwark::testing::TempDir;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Listens on loopback. Takes connections, and says nothing.
class SilentServer {
 public:
  SilentServer() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience = {30, 0};  // of accept(2)
    EXPECT_EQ(setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience,
                         sizeof(patience)),
              0);
    socklen_t size = sizeof(address);
    auto* raw = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(fd_.get(), raw, size), 0);
    EXPECT_EQ(listen(fd_.get(), 10), 0);
    EXPECT_EQ(getsockname(fd_.get(), raw, &size), 0);
    port_ = ntohs(address.sin_port);
  }
  std::string Address() const { return absl::StrCat("127.0.0.1:", port_); }
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
  int port_ = 0;
};

class GitSourceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (access("/usr/bin/git", X_OK) != 0) GTEST_SKIP() << "no git";
    for (const char* name : {"repository", "to", "bin"}) {
      ASSERT_OK(os::MakeDirs(dir_ / name, 0700));
    }
    options_.silence = absl::Seconds(1);
    options_.path = absl::StrCat(dir_ / "bin", ":/usr/bin:/bin");
  }

  void Git(std::vector<std::string> args) {
    os::Program program;
    program.name = "git";
    program.args = std::move(args);
    program.env = {"PATH=/usr/bin:/bin", "HOME=/nonexistent",
                   "GIT_CONFIG_NOSYSTEM=1"};
    program.directory = dir_ / "repository";
    ASSERT_OK_AND_ASSIGN(const os::ProgramResult result,
                         os::RunProgram(program));
    ASSERT_EQ(result.exit_code, 0) << result.errors;
  }
  // An ssh that notes what it is asked for, and does `command`.
  void FakeSsh(const std::string& command) {
    const std::string path = dir_ / "bin/ssh";
    ASSERT_OK(os::WriteFileDurably(
        path, absl::StrCat("#!/bin/sh\necho $$ > ", dir_ / "pid",
                           "\nprintf '%s\\n' \"$@\" >> ", dir_ / "asked", "\n",
                           command, "\n")));
    ASSERT_EQ(chmod(path.c_str(), 0700), 0);
  }
  absl::StatusOr<GitCheckout> Fetch(const std::string& text) {
    const auto url = ParseGitUrl(text);
    if (!url.ok()) return url.status();
    return FetchGit(*url, "", false, dir_ / "to", options_);
  }
  std::string Read(const std::string& name) {
    return os::ReadFile(dir_ / name, 1 << 16).value_or("");
  }

  TempDir dir_;
  FetchOptions options_;
};

TEST_F(GitSourceTest, WhenAGitServerIsSilent_IsGivenUp) {
  const SilentServer server;
  const absl::Time start = absl::Now();
  EXPECT_THAT(Fetch(absl::StrCat("git://", server.Address(), "/x.git")),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       AllOf(HasSubstr(server.Address()),
                             HasSubstr("without a sign of life"),
                             HasSubstr("another mirror"))));
  EXPECT_LT(absl::Now() - start, absl::Minutes(1));
}

// Eight seconds for one number, which is longer than a silence may last.
TEST_F(GitSourceTest, WhenAGitServerIsSlow_IsWaitedFor) {
  const SilentServer server;
  std::thread speaker([&] {
    UniqueFd client(accept4(server.fd(), nullptr, nullptr, SOCK_CLOEXEC));
    for (int i = 0; client.ok() && i < 24; ++i) {
      // A comment that nobody wants, byte by byte.
      const char byte = i < 4 ? "0020"[i] : '#';
      if (send(client.get(), &byte, 1, MSG_NOSIGNAL) != 1) break;
      absl::SleepFor(absl::Milliseconds(350));
    }
  });
  EXPECT_THAT(
      Fetch(absl::StrCat("git://", server.Address(), "/x.git")),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("git fetch")));
  speaker.join();
}

TEST_F(GitSourceTest, WhenItComesBySsh_NothingIsAskedAndNothingLastsForEver) {
  Git({"init", "-q", "-b", "main"});
  ASSERT_OK(os::WriteFileDurably(dir_ / "repository/file", "content"));
  Git({"add", "file"});
  Git({"-c", "user.name=n", "-c", "user.email=e", "commit", "-q", "-m", "m"});
  FakeSsh(absl::StrCat("exec git-upload-pack ", dir_ / "repository"));
  ASSERT_OK_AND_ASSIGN(const GitCheckout checkout,
                       Fetch("ssh://git@example.test:2222/team/x.git#main"));
  EXPECT_EQ(checkout.commit.size(), 40u);
  EXPECT_EQ(Read("to/file"), "content");
  const std::string asked = absl::StrCat("\n", Read("asked"));
  for (const char* option :
       {"-oBatchMode=yes", "-oConnectTimeout=30", "-oServerAliveInterval=30",
        "-oServerAliveCountMax=4", "-p\n2222", "git@example.test",
        "git-upload-pack '/team/x.git'"}) {
    EXPECT_THAT(asked, HasSubstr(absl::StrCat("\n", option, "\n")));
  }
}

TEST_F(GitSourceTest, WhenSshFails_ItsWordsAreShown) {
  FakeSsh("echo 'Host key verification failed.' >&2; exit 255");
  EXPECT_THAT(Fetch("git@example.test:team/x.git"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("Host key verification failed.")));
}

TEST_F(GitSourceTest, WhenSshHangs_IsGivenUpAndGone) {
  FakeSsh("exec sleep 600");
  EXPECT_THAT(Fetch("ssh://example.test/x.git"),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       HasSubstr("without a sign of life")));
  int pid = 0;
  ASSERT_TRUE(absl::SimpleAtoi(absl::StripSuffix(Read("pid"), "\n"), &pid));
  // Whoever adopts it reaps it.
  const auto gone = [pid] {
    const auto stat =
        os::ReadFile(absl::StrCat("/proc/", pid, "/stat"), 1 << 12);
    return !stat.ok() || stat->find(") Z ") != std::string::npos;
  };
  for (int i = 0; i < 100 && !gone(); ++i) {
    absl::SleepFor(absl::Milliseconds(50));
  }
  EXPECT_TRUE(gone());
}

}  // namespace
}  // namespace bulwark::engine::build
