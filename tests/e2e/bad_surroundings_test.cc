// Sockets that cannot be used, second daemons, directories that are not there,
// and flags that make no sense.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/unique_fd.h"
#include "tests/e2e/bad_suite.h"

namespace bulwark::e2e {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class BadSurroundingsTest : public BadSuite {
 protected:
  static void SetUpTestSuite() {
    OpenWithAnchor("e2ebadsu");
    // Other users get to the socket, and to ctl.
    fs::permissions(world().Path(""), fs::perms(0755));
  }
  static void TearDownTestSuite() { CloseAll(); }

  static std::string State() { return world().Path("s"); }
  static std::string Runtime() { return world().Path("r"); }
  static std::string Socket() { return Runtime() + "/bulwarkd.sock"; }

  // bulwarkd with these flags, which must end by itself.
  static Result Daemon(const std::vector<std::string>& flags) {
    std::vector<std::string> argv = {world().bin("bulwarkd")};
    argv.insert(argv.end(), flags.begin(), flags.end());
    return e2e::Run(argv, absl::Seconds(20));
  }
  static Result Daemon(const std::string& state, const std::string& runtime,
                       std::vector<std::string> more = {}) {
    std::vector<std::string> flags = {
        "--instance",    world().name(), "--state-dir",    state,
        "--runtime-dir", runtime,        "--dns-upstream", "127.0.0.1"};
    flags.insert(flags.end(), more.begin(), more.end());
    return Daemon(flags);
  }
  // ctl as somebody else, with these further groups.
  static Result CtlAs(const std::string& groups, const std::string& socket) {
    std::vector<std::string> argv = {"setpriv", "--reuid", "65534", "--regid",
                                     "65534"};
    if (groups.empty()) {
      argv.push_back("--clear-groups");
    } else {
      argv.insert(argv.end(), {"--groups", groups});
    }
    argv.insert(argv.end(), {world().bin("ctl"), "--socket", "unix://" + socket,
                             "get", "services"});
    return e2e::Run(argv, absl::Seconds(20));
  }
  static Result CtlAt(const std::string& socket) {
    return e2e::Run({world().bin("ctl"), "--timeout", "3s", "--socket", socket,
                     "get", "services"},
                    absl::Seconds(20));
  }
};

TEST_F(BadSurroundingsTest, WhenAUserMayNotUseTheSocket_SaysWhichGroupMay) {
  Result refused = CtlAs("", Socket());
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err,
              AllOf(HasSubstr("connect to bulwarkd at " + Socket() +
                              ": permission denied"),
                    HasSubstr("hint: use sudo"), HasSubstr("--socket-group")));
  world().StopDaemon();
  world().StartDaemon({"--socket-group", "daemon"});
  refused = CtlAs("", Socket());
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err,
              HasSubstr("hint: join the group daemon (sudo usermod -aG daemon "
                        "$USER, then log in again), or use sudo"));
  // The socket alone gives no rights.
  refused = CtlAs("daemon", Socket());
  EXPECT_THAT(refused.err, HasSubstr("{user: nobody, role: viewer}"));
  ASSERT_TRUE(
      world()
          .Apply("kind: Project\nmetadata: {name: default}\nspec: {members: "
                 "[{user: nobody, role: viewer}]}\n")
          .ok());
  const Result allowed = CtlAs("daemon", Socket());
  EXPECT_TRUE(allowed.ok()) << allowed.ToString();
  EXPECT_THAT(allowed.out, HasSubstr("anchor"));
  // A folder that is closed tells nothing of the socket in it.
  const std::string closed = world().Path("closed");
  fs::create_directories(closed);
  fs::permissions(closed, fs::perms(0700));
  EXPECT_THAT(CtlAs("", closed + "/a.sock").err,
              AllOf(HasSubstr("permission denied"), HasSubstr("use sudo")));
}

TEST_F(BadSurroundingsTest, WhenTheSocketIsNotOfADaemon_SaysWhatItIs) {
  EXPECT_THAT(CtlAt(world().Path("none.sock")).err,
              AllOf(HasSubstr("none.sock: there is no such socket"),
                    HasSubstr("hint: start the daemon"),
                    HasSubstr("--socket or BULWARK_SOCKET")));
  WriteFile(world().Path("file"), "text");
  EXPECT_THAT(CtlAt(world().Path("file")).err,
              AllOf(HasSubstr("file: it is no socket"), HasSubstr("--socket")));
  EXPECT_THAT(
      CtlAt("/" + std::string(150, 'x')).err,
      AllOf(HasSubstr("connect to bulwarkd at /xxx"), HasSubstr("too long")));
}

TEST_F(BadSurroundingsTest, WhenTheSocketsAreRemoved_TheyAreThereAgain) {
  struct stat before, after;
  ASSERT_EQ(stat(Socket().c_str(), &before), 0);
  ASSERT_TRUE(e2e::Run({"sh", "-c", "rm " + Runtime() + "/*.sock"}).ok());
  EXPECT_TRUE(
      Eventually([] { return CtlAt(Socket()).ok(); }, absl::Seconds(10)));
  ASSERT_EQ(stat(Socket().c_str(), &after), 0);
  EXPECT_EQ(after.st_mode, before.st_mode);
  EXPECT_EQ(after.st_uid, before.st_uid);
  EXPECT_EQ(after.st_gid, before.st_gid);
  EXPECT_THAT(world().DaemonLog(), HasSubstr("API socket was removed"));
  // The data plane takes changes, from this daemon and the next one.
  world().KillDaemon();
  world().StartDaemon();
  ASSERT_TRUE(world()
                  .Apply(Manifest("later", "exec httpd -f -p 80 -h /etc",
                                  "ports: [\"8099:80\"]\n"))
                  .ok());
  EXPECT_TRUE(world().AwaitReady("later", 1, absl::Seconds(20)));
  EXPECT_TRUE(Eventually([] { return Answers(8099); }));
  Delete({"later"});
}

// Somebody who accepts, and answers with `answer` or, if it is empty, never.
class Impostor {
 public:
  Impostor(const std::string& path, const std::string& answer)
      : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    CHECK(path.size() < sizeof(address.sun_path));
    std::memcpy(address.sun_path, path.data(), path.size());
    CHECK(bind(fd_.get(), reinterpret_cast<sockaddr*>(&address),
               sizeof(address)) == 0);
    CHECK(listen(fd_.get(), 8) == 0);
    thread_ = std::thread([this, answer] {
      while (true) {
        UniqueFd peer(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!peer.ok()) return;
        if (answer.empty()) {
          held_.push_back(std::move(peer));
        } else if (send(peer.get(), answer.data(), answer.size(),
                        MSG_NOSIGNAL) < 0) {
          return;
        }
      }
    });
  }
  ~Impostor() {
    shutdown(fd_.get(), SHUT_RDWR);
    thread_.join();
  }

 private:
  UniqueFd fd_;
  std::vector<UniqueFd> held_;
  std::thread thread_;
};

TEST_F(BadSurroundingsTest, WhenAnotherProgramListensThere_SaysHowToFindIt) {
  const std::string path = world().Path("http.sock");
  Impostor other(path, "HTTP/1.1 400 Bad Request\r\n\r\n");
  const Result refused = CtlAt(path);
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err,
              AllOf(HasSubstr("error: "), HasSubstr("another program serves"),
                    HasSubstr(path), HasSubstr("ss -lxp")));
  const std::string mute = world().Path("mute.sock");
  Impostor silent(mute, "");
  const Result late = CtlAt(mute);
  EXPECT_EQ(late.code, 1);
  EXPECT_THAT(late.err, AllOf(HasSubstr("no answer from bulwarkd in 3s"),
                              HasSubstr("hint: ")));
}

// Two of one instance, whichever directories they share.
TEST_F(BadSurroundingsTest, WhenASecondDaemonStarts_ItRefusesAndHarmsNothing) {
  const std::string other_state = world().Path("s2");
  const std::string other_runtime = world().Path("r2");
  const std::string pid = absl::StrCat("(pid ", world().daemon_pid(), ")");
  const struct {
    std::string state, runtime, why;
  } kCases[] = {{State(), Runtime(), pid},
                {other_state, Runtime(), pid},
                {State(), other_runtime, "another bulwarkd runs it"},
                {other_state, other_runtime, "another bulwarkd runs it"}};
  for (const auto& c : kCases) {
    for (const bool teardown : {false, true}) {
      const Result second =
          Daemon(c.state, c.runtime,
                 teardown ? std::vector<std::string>{"--teardown"}
                          : std::vector<std::string>());
      EXPECT_EQ(second.code, 1) << second.ToString();
      EXPECT_THAT(second.err,
                  AllOf(HasSubstr(c.why), HasSubstr("stop that one, or")));
      EXPECT_EQ(anchor().Check(), "");
    }
  }
  // Another instance has its own directories.
  EXPECT_THAT(
      Daemon({"--instance", "e2eother", "--state-dir", other_state,
              "--runtime-dir", Runtime(), "--dns-upstream", "127.0.0.1"})
          .err,
      HasSubstr(pid));
}

// A disk that is not mounted, or a flag that was forgotten.
TEST_F(BadSurroundingsTest, WhenTheDirectoriesAreOthers_TouchesNothing) {
  world().KillDaemon();
  const std::string other_state = world().Path("s2");
  const std::string other_runtime = world().Path("r2");
  const struct {
    std::string state, runtime;
  } kCases[] = {{other_state, Runtime()},
                {State(), other_runtime},
                {other_state, other_runtime}};
  for (const auto& c : kCases) {
    const Result refused = Daemon(c.state, c.runtime);
    EXPECT_EQ(refused.code, 1) << refused.ToString();
    EXPECT_THAT(refused.err,
                AllOf(HasSubstr("know none of them; nothing was touched"),
                      HasSubstr("are their disks mounted?"),
                      HasSubstr("Put back what was in " + c.state),
                      HasSubstr("bulwarkd --teardown")));
    EXPECT_EQ(anchor().CheckWithoutDaemon(), "");
  }
  world().StartDaemon();
  EXPECT_EQ(Services(), "service/anchor\n");
}

TEST_F(BadSurroundingsTest, WhenTheStoreIsGoneOrEmpty_NothingIsDeleted) {
  world().KillDaemon();
  const std::string store = State() + "/store", aside = State() + "/aside";
  fs::rename(store, aside);
  for (int i = 0; i < 2; ++i) {  // gone, and then empty
    const Result refused = Daemon(State(), Runtime());
    EXPECT_EQ(refused.code, 1) << refused.ToString();
    EXPECT_THAT(
        refused.err,
        AllOf(HasSubstr("the store holds no service that could have asked"),
              HasSubstr("nothing was touched"),
              HasSubstr("Put back what was in " + State()),
              HasSubstr("bulwarkd --teardown")));
    EXPECT_EQ(anchor().CheckWithoutDaemon(), "");
    EXPECT_TRUE(fs::exists(store));
  }
  fs::remove_all(store);
  fs::rename(aside, store);
  world().StartDaemon();
  EXPECT_EQ(Services(), "service/anchor\n");
}

TEST_F(BadSurroundingsTest, WhenAFlagMakesNoSense_SaysWhyAndStartsNothing) {
  const std::string state = world().Path("s3"), runtime = world().Path("r3");
  const struct {
    std::vector<std::string> flags;
    const char* why;
  } kCases[] = {
      {{"--state-dir", "s"}, "--state-dir: \"s\" is not an absolute path"},
      {{"--runtime-dir", "r"}, "--runtime-dir: \"r\" is not an absolute path"},
      {{"--socket", "a.sock"}, "--socket: \"a.sock\" is not an absolute path"},
      {{"--bin-dir", "bin"}, "--bin-dir: \"bin\" is not an absolute path"},
      {{"--bin-dir", "/nowhere"},
       "--bin-dir: cannot use /nowhere/bulwark-shim: No such file or directory"
       "; install bulwark-shim, bulwark-keeper and bulwark-proxy in one "
       "folder"},
      {{"--container-pool", "10.0.0.0"},
       "--container-pool: \"10.0.0.0\" is not a subnet such as 10.0.0.0/24"},
      {{"--container-pool", "10.0.0.0/26"},
       "--container-pool: 10.0.0.0/26 is too small: each network takes a /22"},
      {{"--virtual-pool", "10.210.0.0/20"},
       "--virtual-pool: 10.210.0.0/20 overlaps --container-pool 10.210.0.0/16"},
      {{"--uplink-subnet", "10.212.0.1/30"}, "--uplink-subnet: "},
      {{"--build-subnet", "fd00::/64"},
       "--build-subnet: fd00::/64 is not IPv4"},
      {{"--dns-upstream", "dns.lan"},
       "--dns-upstream: dns upstream \"dns.lan\""},
      {{"--insecure-registry", "http://r.lan"},
       "--insecure-registry: \"http://r.lan\" is not HOST or HOST:PORT"},
      {{"--socket-group", "nosuchgroup"},
       "--socket-group: there is no group \"nosuchgroup\" on this host; "
       "groupadd --system nosuchgroup makes it"},
      {{"--max-kernel", "new"},
       "--max-kernel: \"new\" is not a kernel version"},
      {{"--proxy-workers", "-2"}, "--proxy-workers: -2 is not 1 to 1024"},
      {{"--proxy-workers", "many"}, "--proxy-workers"},
      {{"--proxy-engine", "magic"}, "--proxy-engine: \"magic\" is none of"},
      {{"--instance", "Not-A-Name"}, "--instance: 1 to 12 characters"},
      {{"--log-level", "loud"}, "--log-level"},
      {{"--no-such-flag"}, "--no-such-flag"},
      {{"stray"}, "stray"},
  };
  for (const auto& c : kCases) {
    std::vector<std::string> flags = c.flags;
    auto add = [&](const char* flag, const std::string& value) {
      if (flags[0] != flag) flags.insert(flags.end(), {flag, value});
    };
    add("--instance", "e2eflags");
    add("--state-dir", state);
    add("--runtime-dir", runtime);
    const Result refused = Daemon(flags);
    EXPECT_EQ(refused.code, 2) << c.why << "\n" << refused.ToString();
    EXPECT_THAT(refused.err, HasSubstr(c.why));
    EXPECT_FALSE(fs::exists(state) || fs::exists(runtime)) << c.why;
  }
}

// Each program of the three.
TEST_F(BadSurroundingsTest, WhenAProgramIsMissing_SaysWhich) {
  for (const std::string missing :
       {"bulwark-shim", "bulwark-keeper", "bulwark-proxy"}) {
    const std::string folder = world().Path("bin2");
    fs::create_directories(folder);
    for (const char* program :
         {"bulwark-shim", "bulwark-keeper", "bulwark-proxy"}) {
      if (missing != program) {
        fs::copy_file(world().bin(program), folder + "/" + program);
      }
    }
    const Result refused =
        Daemon(world().Path("s3"), world().Path("r3"), {"--bin-dir", folder});
    EXPECT_EQ(refused.code, 2);
    EXPECT_THAT(refused.err,
                HasSubstr(absl::StrCat("cannot use ", folder, "/", missing,
                                       ": No such file or directory")));
    fs::remove_all(folder);
  }
}

}  // namespace
}  // namespace bulwark::e2e
