// ctl build when things go wrong: clients and daemons that die, contexts that
// are hostile, and what steps are allowed.
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/e2e/session.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class BuildFaultsTest : public Suite {
 protected:
  static void SetUpTestSuite() {
    Open("e2ebfault");
    Ctl({"pull", "-q", busybox()});
  }
  static void TearDownTestSuite() { Close(); }

  void TearDown() override { EXPECT_THAT(LeftOver(), IsEmpty()); }

  // A new folder with this Dockerfile, above busybox.
  static std::string Context(const std::string& steps) {
    static int count = 0;
    const std::string folder = world().Path(absl::StrCat("context", ++count));
    fs::create_directories(folder);
    WriteFile(folder + "/Dockerfile",
              absl::StrCat("FROM ", busybox(), "\n", steps));
    return folder;
  }

  // Files and processes of builds that no build needs any more.
  static std::vector<std::string> LeftOver() {
    std::vector<std::string> found;
    for (const char* folder : {"s/images/ingest", "s/containers",
                               "r/containers", "r/build-secrets"}) {
      std::error_code error;
      for (const auto& entry :
           fs::directory_iterator(world().Path(folder), error)) {
        found.push_back(entry.path());
      }
    }
    for (const auto& entry : fs::directory_iterator("/proc")) {
      const std::string line = ReadFile(entry.path() / "cmdline");
      if (absl::StrContains(line, kSleep)) found.push_back(entry.path());
    }
    return found;
  }
  static bool NothingIsLeft() {
    return Eventually([] { return LeftOver().empty(); });
  }

  // What only the steps of these tests sleep.
  static constexpr char kSleep[] = "86413";
};

TEST_F(BuildFaultsTest, WhenTheClientIsGone_ItsStepsEndAndOthersGoOn) {
  const std::string before = world().LeakReport();
  const std::string slow =
      Context(absl::StrCat("RUN echo it-$((1))-runs && (sleep ", kSleep,
                           " & sleep ", kSleep, ")\n"));
  for (const int signal : {SIGKILL, SIGINT, SIGTERM}) {
    Session build(world(), {"build", "--progress=plain", slow});
    ASSERT_TRUE(build.AwaitErr("it-1-runs")) << build.ToString();
    build.Signal(signal);
    EXPECT_NE(build.Wait(), 0);
    EXPECT_TRUE(NothingIsLeft()) << ::testing::PrintToString(LeftOver());
    EXPECT_EQ(world().Leaked(before), "");
  }
  Ctl({"build", "-q", Context("RUN true\n")});
}

TEST_F(BuildFaultsTest, WhenTheDaemonIsKilledAtAnyMoment_TheNextBuildsOn) {
  const std::string context = Context(
      "COPY data /data\n"
      "ARG TRY\n"
      "RUN echo first $TRY && sleep 0.1 && cp /data /a\n"
      "RUN --mount=type=cache,target=/c --mount=type=secret,id=s"
      " echo second && cat /run/secrets/s /data > /c/x && sleep 0.1\n"
      "COPY data /again\n"
      "RUN echo third && sleep 0.1 && rm /data\n");
  WriteFile(context + "/data", std::string(3 << 20, 'd'));
  WriteFile(world().Path("secret"), "hidden");
  for (int i = 0; i < 8; ++i) {
    const std::vector<std::string> command = {
        "build",       "--progress=plain",
        "--secret",    "id=s,src=" + world().Path("secret"),
        "--build-arg", absl::StrCat("TRY=", i),
        "-t",          "killed:1",
        context};
    Session build(world(), command);
    Pause(absl::Milliseconds(60 * i));
    world().KillDaemon();
    EXPECT_NE(build.Wait(), -1);
    const std::string reached = build.Err();
    world().StartDaemon();
    EXPECT_TRUE(NothingIsLeft()) << ::testing::PrintToString(LeftOver());
    const Result again = Ctl(command);
    // Steps that had ended are not done again.
    if (absl::StrContains(reached, "second")) {
      EXPECT_THAT(again.err, HasSubstr("#4/7 CACHED")) << reached;
    }
    EXPECT_EQ(Ctl({"run", "--pull", "never", "killed:1", "sh", "-c",
                   "wc -c < /a; wc -c < /again; ls /data 2>&1; true"})
                  .out,
              "3145728\n3145728\nls: /data: No such file or directory\n");
  }
  EXPECT_THAT(Ctl({"verify"}).out, HasSubstr("all is well"));
  Ctl({"rmi", "killed:1"});
}

// A tar made by Python: `lines` use the archive `t` and the helper
// add(name, text="", **fields).
std::string HostileTar(const World& world, const std::string& lines) {
  const std::string path = world.Path("hostile.tar");
  const Result made = e2e::Run(
      {"python3", "-c",
       absl::StrCat("import tarfile, io, sys\n"
                    "t = tarfile.open(sys.argv[1], 'w', "
                    "format=tarfile.GNU_FORMAT)\n"
                    "def add(name, text='', **fields):\n"
                    "  i = tarfile.TarInfo(name)\n"
                    "  i.size = len(text)\n"
                    "  for k, v in fields.items(): setattr(i, k, v)\n"
                    "  t.addfile(i, io.BytesIO(text.encode()))\n"
                    "base = sys.argv[2]\n"
                    "outside = sys.argv[3]\n"
                    "add('Dockerfile', 'FROM %s\\nCOPY . /c\\n' % base)\n",
                    lines, "\nt.close()\n"),
       path, "scratch", world.Path("outside")});
  EXPECT_TRUE(made.ok()) << made.ToString();
  return ReadFile(path);
}

TEST_F(BuildFaultsTest, WhenTheContextIsHostile_NothingOutsideIsTouched) {
  const std::string outside = world().Path("outside");
  fs::create_directories(outside);
  WriteFile(outside + "/file", "untouched");
  struct Case {
    const char* name;
    const char* lines;
    const char* error;  // null: it is built
  };
  const Case cases[] = {
      {"absolute", "add(outside + '/file', 'evil')", nullptr},
      {"dots", "add('../outside/file', 'evil')", "../outside/file"},
      {"dots inside", "add('a/../../../outside/file', 'evil')", ".."},
      {"a file through a link",
       "add('l', type=tarfile.SYMTYPE, linkname=outside)\n"
       "add('l/file', 'evil')",
       "something lies below it"},
      {"a folder through links",
       "add('a', type=tarfile.SYMTYPE, linkname='.')\n"
       "add('a/b', type=tarfile.SYMTYPE, linkname='../' * 30 + outside)\n"
       "add('b/new/file', 'evil')",
       "something lies below it"},
      {"a link in place of the Dockerfile",
       "add('Dockerfile', type=tarfile.SYMTYPE, linkname=outside + '/file')",
       "Dockerfile"},
      {"a hard link to the outside",
       "add('h', type=tarfile.LNKTYPE, linkname=outside + '/file')", "\"h\""},
      {"a hard link through a link",
       "add('l', type=tarfile.SYMTYPE, linkname=outside)\n"
       "add('h', type=tarfile.LNKTYPE, linkname='l/file')",
       "\"h\""},
      {"a link in a circle",
       "add('l', type=tarfile.SYMTYPE, linkname='l')\nadd('l/x', 'evil')", "l"},
      {"devices",
       "add('d', type=tarfile.CHRTYPE, devmajor=1, devminor=3)\n"
       "add('b', type=tarfile.BLKTYPE, devmajor=8, devminor=0)\n"
       "add('w', type=tarfile.CHRTYPE)",
       nullptr},
      {"a fifo as Dockerfile", "add('Dockerfile', type=tarfile.FIFOTYPE)",
       "Dockerfile"},
      {"a fifo", "add('f', type=tarfile.FIFOTYPE)", nullptr},
      {"names twice",
       "add('x', 'one')\nadd('x', type=tarfile.DIRTYPE)\nadd('x/y', 'two')\n"
       "add('x', 'three')",
       nullptr},
      {"many entries", "for i in range(20000): add('m/%d' % i)", nullptr},
      {"deep folders", "add('d/' * 2000 + 'f', 'x')", "deep"},
      {"whiteouts", "add('.wh..wh..opq')\nadd('.wh.x')", nullptr},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const Result result =
        world().Ctl({"build", "-q", "--no-cache", "-t", "hostile:1", "-"},
                    absl::Seconds(120), HostileTar(world(), c.lines));
    if (c.error == nullptr) {
      EXPECT_TRUE(result.ok()) << result.ToString();
    } else {
      EXPECT_EQ(result.code, 1) << result.ToString();
      EXPECT_THAT(result.err, HasSubstr(c.error));
    }
    EXPECT_THAT(LeftOver(), IsEmpty());
    EXPECT_EQ(ReadFile(outside + "/file"), "untouched");
    EXPECT_EQ(std::distance(fs::directory_iterator(outside), {}), 1);
  }
  // It holds what is in its context, and nothing of the outside.
  EXPECT_TRUE(world().daemon_alive());
  Ctl({"system", "prune"});
}

TEST_F(BuildFaultsTest, WhenTheContextIsDamaged_SaysWhere) {
  const std::string whole =
      HostileTar(world(), "add('big', 'x' * 100000)\nadd('last', 'y')");
  std::map<std::string, std::string> cases;
  cases["cut in a file"] = whole.substr(0, 50000);
  cases["cut in a header"] = whole.substr(0, 1024 + 100);
  cases["a wrong sum"] = whole;
  cases["a wrong sum"][1024] ^= 1;
  cases["no archive"] = "\x1f\x8b" + std::string(5000, 'x');
  cases["nothing compressed"] = std::string("\x1f\x8b\x08\0\0\0\0\0\0\3", 10);
  // A header that claims a terabyte.
  std::string claim = whole;
  claim.replace(1024 + 124, 12, std::string("\x80\0\0\0\0\0\1\0\0\0\0\0", 12));
  unsigned sum = 0;
  claim.replace(1024 + 148, 8, "        ");
  for (int i = 0; i < 512; ++i) {
    sum += static_cast<unsigned char>(claim[1024 + i]);
  }
  char text[8];
  snprintf(text, sizeof(text), "%06o", sum);
  claim.replace(1024 + 148, 7, text, 7);
  cases["a size that is a lie"] = claim;
  for (const auto& [name, tar] : cases) {
    SCOPED_TRACE(name);
    const Result result = world().Ctl({"build", "-q", "-t", "hostile:1", "-"},
                                      absl::Seconds(60), tar);
    EXPECT_EQ(result.code, 1) << result.ToString();
    EXPECT_THAT(result.err, HasSubstr("unpack the build context"));
    EXPECT_THAT(LeftOver(), IsEmpty());
  }
}

TEST_F(BuildFaultsTest, WhenAFileIsMostlyHoles_ItIsBuiltOrRefusedSoon) {
  const std::string context = Context("COPY holes /holes\nRUN rm /holes\n");
  WriteFile(context + "/holes", "");
  fs::resize_file(context + "/holes", int64_t{1} << 30);
  const Result result = world().Ctl({"build", "-q", "-t", "holes:1", context},
                                    absl::Seconds(120));
  EXPECT_TRUE(result.ok()) << result.ToString();
  Ctl({"rmi", "holes:1"});
  Ctl({"system", "prune"});
}

TEST_F(BuildFaultsTest, WhenItIsAllowed_StepsHaveTheHostsNetworkAndRights) {
  const std::string users = ReadFile("/proc/self/uid_map");
  const std::string net = fs::read_symlink("/proc/self/ns/net");
  const std::string context = Context(
      "RUN --network=host readlink /proc/self/ns/net > /net &&"
      " ls /sys/class/net > /links\n"
      "RUN --security=insecure cat /proc/self/uid_map > /map && mknod /node b"
      " 7 0 && grep CapEff /proc/self/status > /rights\n"
      "RUN ! mknod /other b 7 0 && cat /proc/self/uid_map > /own\n"
      "CMD [\"cat\", \"/net\", \"/links\", \"/map\", \"/own\"]\n");
  EXPECT_THAT(CtlFails({"build", context}).err,
              AllOf(HasSubstr("Dockerfile:2"), HasSubstr("network.host")));
  EXPECT_THAT(CtlFails({"build", "--allow", "network.host", context}).err,
              AllOf(HasSubstr("Dockerfile:3"), HasSubstr("security.insecure")));
  Ctl({"build", "-q", "--allow", "network.host", "--allow", "security.insecure",
       "-t", "allowed:1", context});
  const std::string out = Ctl({"run", "--pull", "never", "allowed:1"}).out;
  EXPECT_THAT(out, AllOf(HasSubstr(net), HasSubstr(users)));
  // The other step's users are its own.
  EXPECT_THAT(out, ::testing::ContainsRegex(" 0 +[1-9][0-9]+ +65536\n"));
  Ctl({"rmi", "allowed:1"});
}

}  // namespace
}  // namespace bulwark::e2e
