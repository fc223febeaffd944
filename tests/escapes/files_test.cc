// Escapes by a descriptor, a program or a socket of the host that a container
// can reach.
#include <elf.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"
#include "tests/escapes/escape_suite.h"

namespace bulwark::escapes {
namespace {

namespace fs = std::filesystem;
using conformance::ReadFile;
using conformance::WriteFile;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kLastNumber = 24;  // of descriptors that are tried

// A named pipe that takes nothing more, until it is drained.
class FullPipe {
 public:
  explicit FullPipe(std::string path) : path_(std::move(path)) {
    CHECK(mkfifo(path_.c_str(), 0600) == 0);
    fd_.Reset(open(path_.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    const std::string page(4096, 'x');
    while (write(fd_.get(), page.data(), page.size()) > 0) continue;
  }
  const std::string& path() const { return path_; }
  void Drain() const {
    char page[4096];
    while (read(fd_.get(), page, sizeof(page)) > 0) continue;
  }

 private:
  const std::string path_;
  UniqueFd fd_;
};

// A container that executed /proc/self/exe got hold of the runtime's binary on
// the host, and overwrote it. What enters a container here is the shim, from
// memory that is sealed; bulwark-oci itself is never in there.
TEST_P(EscapeTest, Cve2019_5736_ExecOfTheRuntimeItself) {
  AddAttacker();
  WriteFile(Inside("/evil"), "#!/proc/self/exe\n", 0755);
  bundle().Args({"/bin/attacker", "overwrite", "/stop"});
  ASSERT_THAT(container().Create(), Succeeds());
  ASSERT_THAT(container().Start(), Succeeds());
  ASSERT_TRUE(container().AwaitPrinted("ready"));
  // The shim says how it is used, and waits for somebody to read it: in its own
  // time it would be gone before anybody saw it.
  const FullPipe pipe(scratch() + "/pipe");
  for (const char* program : {"/evil", "/proc/self/exe"}) {
    conformance::ExecOptions options;
    options.err = pipe.path();
    container().Call({"exec", "--detach", container().id(), program}, options);
  }
  EXPECT_TRUE(container().AwaitPrinted("seen"))
      << "the attack has not come to anything: " << container().Printed();
  pipe.Drain();
  WriteFile(Inside("/stop"), "");
  EXPECT_TRUE(container().AwaitPrinted("wrote"));
  EXPECT_TRUE(container().AwaitPrinted("wrote 0")) << container().Printed();
  // They came to us when their parents left, and the container ends after them.
  EXPECT_TRUE(Eventually([] {
    while (waitpid(-1, nullptr, WNOHANG) > 0) continue;
    return waitpid(-1, nullptr, WNOHANG) < 0;
  }));
}

TEST_P(EscapeTest, Cve2019_5736_RunOfTheRuntimeItself) {
  bundle().Args({"/proc/self/exe"});
  EXPECT_THAT(container().Run(), Not(Succeeds()));
  WriteFile(Inside("/evil"), "#!/proc/self/exe\n", 0755);
  bundle().Args({"/evil"});
  EXPECT_THAT(container().Run(), Not(Succeeds()));
}

// With the host's processes in sight, the one that waits for the container is
// the runtime's binary itself: not within reach.
TEST_P(EscapeTest, Cve2019_5736_RuntimeInSight) {
  AddAttacker();
  bundle().RemoveNamespace("pid");
  // Of the runtime only: there are others among the host's processes.
  bundle().Script(
      "cat /proc/$PPID/comm; /bin/attacker overwrite /stop $PPID & sleep 2; "
      "> /stop; wait");
  const Outcome outcome = container().Run();
  EXPECT_THAT(outcome, Prints(HasSubstr("wrote 0")));
  EXPECT_THAT(outcome.out, HasSubstr(GetParam().name));
}

// The attack itself works, on a program that nothing protects.
TEST_P(EscapeTest, Cve2019_5736_TheAttackSucceedsOnAnUnprotectedProgram) {
  const std::string victim = scratch() + "/victim";
  const std::string stop = scratch() + "/stop";
  AddAttacker();
  fs::copy_file(Inside("/bin/attacker"), victim);
  const std::string script =
      absl::StrCat(victim, " sleep & ", Inside("/bin/attacker"), " overwrite ",
                   stop, " $! & wait %1; sleep 1; > ", stop, "; wait");
  const Outcome outcome = conformance::Exec({"/bin/sh", "-c", script});
  EXPECT_THAT(outcome, Prints(HasSubstr("wrote 1")));
  EXPECT_THAT(ReadFile(victim), ::testing::StartsWith("#!overwritten"));
}

// runc kept a directory of the host open while it went to the container's
// working directory: /proc/self/fd/7 led out. Here a working directory that is
// not below the root is refused, and no descriptor is open any more when the
// program's path is looked up.
TEST_P(EscapeTest, Cve2024_21626_WorkingDirectoryBehindADescriptor) {
  const std::vector<UniqueFd> leaked = LeakedFiles();
  for (int n = 3; n < kLastNumber; ++n) {
    bundle().process()["cwd"] = absl::StrCat("/proc/self/fd/", n);
    bundle().Script("cat sentinel host/sentinel ../host/sentinel; ls; true");
    const Outcome outcome = RunWith(Numbers(leaked));
    EXPECT_THAT(outcome.out, Not(HasSubstr(kUntouched))) << n;
    EXPECT_THAT(outcome.out, Not(HasSubstr("sentinel"))) << n;
  }
  // By a link of the image, and as part of a path.
  fs::create_symlink("/proc/self/fd/5", Inside("/link"));
  for (const char* path : {"/link", "/proc/self/fd/5/..", "/link/../host",
                           "/proc/1/cwd", "/proc/self/cwd"}) {
    bundle().process()["cwd"] = path;
    bundle().Script("cat sentinel host/sentinel ../host/sentinel; true");
    EXPECT_THAT(RunWith(Numbers(leaked)).out, Not(HasSubstr(kUntouched)))
        << path;
  }
}

TEST_P(EscapeTest, Cve2024_21626_WorkingDirectoryOfAnExec) {
  const std::vector<UniqueFd> leaked = LeakedFiles();
  StartScript("exec sleep 1000");
  for (int n = 3; n < kLastNumber; ++n) {
    const Outcome outcome =
        ExecWith(Numbers(leaked),
                 {"--cwd", absl::StrCat("/proc/self/fd/", n), container().id(),
                  "/bin/sh", "-c", "cat sentinel ../host/sentinel; ls; true"});
    EXPECT_THAT(outcome.out, Not(HasSubstr("sentinel"))) << n;
    EXPECT_THAT(outcome.out, Not(HasSubstr(kUntouched))) << n;
  }
}

TEST_P(EscapeTest, Cve2024_21626_ProgramBehindADescriptor) {
  AddHostProgram("escape");
  const std::vector<UniqueFd> leaked = LeakedFiles();
  for (int n = 3; n < kLastNumber; ++n) {
    const std::string path = absl::StrCat("/proc/self/fd/", n, "/escape");
    bundle().Args({path});
    EXPECT_THAT(RunWith(Numbers(leaked)).out, Not(HasSubstr("ESCAPED"))) << n;
    const std::string script = Inside(absl::StrCat("/script", n));
    WriteFile(script, absl::StrCat("#!", path, "\n"), 0755);
    bundle().Args({absl::StrCat("/script", n)});
    EXPECT_THAT(RunWith(Numbers(leaked)).out, Not(HasSubstr("ESCAPED"))) << n;
  }
}

TEST_P(EscapeTest, Cve2024_21626_ProgramOfAnExecBehindADescriptor) {
  AddHostProgram("escape");
  const std::vector<UniqueFd> leaked = LeakedFiles();
  StartScript("exec sleep 1000");
  for (int n = 3; n < kLastNumber; ++n) {
    const std::string path = absl::StrCat("/proc/self/fd/", n, "/escape");
    EXPECT_THAT(
        ExecWith(Numbers(leaked), {container().id(), path, "escaped"}).out,
        Not(HasSubstr("ESCAPED")))
        << n;
  }
}

TEST_P(EscapeTest, Cve2024_21626_NoDescriptorIsInherited) {
  const std::vector<UniqueFd> leaked = LeakedFiles();
  // The fourth is the listing's own.
  bundle().Script("ls /proc/self/fd; exec sleep 1000");
  bundle().Write();
  conformance::ExecOptions options;
  options.fds = Numbers(leaked);
  EXPECT_THAT(container().Create({}, Numbers(leaked)), Succeeds());
  EXPECT_THAT(container().Start(), Succeeds());
  EXPECT_TRUE(container().AwaitPrinted("0\n1\n2\n3\n"));
  EXPECT_THAT(
      ExecWith(Numbers(leaked), {container().id(), "/bin/ls", "/proc/self/fd"}),
      Prints("0\n1\n2\n3"));
  EXPECT_THAT(
      ExecWith(Numbers(leaked), {container().id(), "/bin/ls", "/proc/1/fd"}),
      Prints("0\n1\n2"));
}

std::vector<std::string> AbstractSockets(const std::string& table) {
  std::vector<std::string> names;
  for (const absl::string_view line : absl::StrSplit(table, '\n')) {
    const size_t at = line.find(" @");
    if (at != line.npos) names.emplace_back(line.substr(at + 1));
  }
  return names;
}

// containerd's shims listened on abstract sockets, which a container with the
// host's network could connect to. Here nothing listens: bulwark-oci and its
// process share a socket pair. The test has a network namespace of its own, as
// "the host's", so that nobody else's sockets are in it.
TEST_P(EscapeTest, Cve2020_15257_SocketsInTheHostsNetwork) {
  const UniqueFd before(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(unshare(CLONE_NEWNET), 0);
  UniqueFd control(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const char name[] = "control-of-the-test";
  std::memcpy(address.sun_path + 1, name, sizeof(name) - 1);
  ASSERT_EQ(bind(control.get(), reinterpret_cast<sockaddr*>(&address),
                 offsetof(sockaddr_un, sun_path) + sizeof(name)),
            0);
  bundle().RemoveNamespace("network");
  StartScript("cat /proc/net/unix; echo all; exec sleep 1000");
  EXPECT_TRUE(container().AwaitPrinted("all"));
  EXPECT_THAT(AbstractSockets(container().Printed()),
              ::testing::ElementsAre(HasSubstr(name)));
  const Outcome exec = container().Exec({"/bin/cat", "/proc/net/unix"});
  EXPECT_THAT(AbstractSockets(exec.out),
              ::testing::ElementsAre(HasSubstr(name)));
  control.Reset();
  EXPECT_EQ(setns(before.get(), CLONE_NEWNET), 0);
}

// docker cp's helper went to the container's root and then loaded libraries of
// name services from there, with all of the host's rights. There is no such
// helper; what enters a root here has nothing to load, and asks no library for
// a user.
TEST_P(EscapeTest, Cve2019_14271_NoLibraryOfTheContainerIsOpened) {
  const UniqueFd watch(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  for (const char* directory :
       {"/lib", "/lib64", "/usr", "/usr/lib", "/lib/x86_64-linux-gnu"}) {
    ASSERT_EQ(mkdir(Inside(directory).c_str(), 0755), 0);
  }
  for (const char* file :
       {"/etc/nsswitch.conf", "/etc/ld.so.preload", "/etc/ld.so.cache",
        "/lib64/ld-linux-x86-64.so.2", "/lib/libc.so.6",
        "/lib/x86_64-linux-gnu/libnss_files.so.2",
        "/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/libnss_files.so.2"}) {
    fs::copy_file("/bin/busybox", Inside(file));
    ASSERT_GE(inotify_add_watch(watch.get(), Inside(file).c_str(),
                                IN_OPEN | IN_ACCESS),
              0);
  }
  StartScript("exec sleep 1000");
  EXPECT_THAT(container().Exec({"/bin/true"}, {"--user", "1000:1000"}),
              Succeeds());
  char events[1024];
  EXPECT_LT(read(watch.get(), events, sizeof(events)), 0);
  // The watch sees what happens in the container.
  EXPECT_THAT(container().Exec({"/bin/cat", "/etc/ld.so.cache"}), Succeeds());
  EXPECT_GT(read(watch.get(), events, sizeof(events)), 0);
}

TEST_P(EscapeTest, Cve2019_14271_TheRuntimeLoadsNothing) {
  if (!Is("bulwark-oci")) GTEST_SKIP() << "of our own binary";
  const std::string program = ReadFile(GetParam().path);
  Elf64_Ehdr header;
  ASSERT_GT(program.size(), sizeof(header));
  std::memcpy(&header, program.data(), sizeof(header));
  ASSERT_EQ(std::memcmp(header.e_ident, ELFMAG, SELFMAG), 0);
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    std::memcpy(&segment, program.data() + header.e_phoff + i * sizeof(segment),
                sizeof(segment));
    EXPECT_NE(segment.p_type, static_cast<Elf64_Word>(PT_INTERP));
  }
}

}  // namespace
}  // namespace bulwark::escapes
