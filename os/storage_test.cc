// Copies, loop devices, mounts and programs.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "base/unique_fd.h"
#include "os/copy.h"
#include "os/files.h"
#include "os/loop.h"
#include "os/mounts.h"
#include "os/program.h"

namespace bulwark::os {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::StatusIs;

// Mounts of this test are nobody else's.
class PrivateMounts final : public ::testing::Environment {
 public:
  void SetUp() override {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0) << "this test needs root";
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  }
};
const auto* const kPrivate =
    ::testing::AddGlobalTestEnvironment(new PrivateMounts);

class CopyTreeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(from_);
    fs::create_directories(to_);
  }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(from_ + "/" + name) << text;
  }
  struct stat Look(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(lstat(path.c_str(), &info), 0) << path;
    return info;
  }
  std::string Read(const std::string& name) {
    return ReadFile(to_ + "/" + name, 1 << 20).value_or("none");
  }

  testing::TempDir dir_;
  const std::string from_ = dir_ / "from";
  const std::string to_ = dir_ / "to";
};

TEST_F(CopyTreeTest, KeepsWhatFilesAre) {
  Write("plain", "text");
  ASSERT_EQ(chown((from_ + "/plain").c_str(), 123, 456), 0);
  ASSERT_EQ(chmod((from_ + "/plain").c_str(), 04751), 0);
  ASSERT_EQ(setxattr((from_ + "/plain").c_str(), "user.note", "x", 1, 0), 0);
  fs::create_hard_link(from_ + "/plain", from_ + "/second");
  fs::create_directory(from_ + "/sub");
  ASSERT_EQ(chmod((from_ + "/sub").c_str(), 0710), 0);
  fs::create_hard_link(from_ + "/plain", from_ + "/sub/third");
  fs::create_symlink("/etc/passwd", from_ + "/sub/link");
  ASSERT_EQ(mkfifo((from_ + "/sub/pipe").c_str(), 0600), 0);
  ASSERT_EQ(chmod((from_ + "/sub/pipe").c_str(), 0620), 0);
  const timespec times[2] = {{1000, 0}, {2000, 5}};
  ASSERT_EQ(utimensat(AT_FDCWD, (from_ + "/plain").c_str(), times, 0), 0);
  ASSERT_EQ(utimensat(AT_FDCWD, (from_ + "/sub").c_str(), times, 0), 0);
  ASSERT_EQ(chown(from_.c_str(), 77, 78), 0);

  ASSERT_OK(CopyTree(from_, to_));

  EXPECT_EQ(Read("plain"), "text");
  const struct stat plain = Look(to_ + "/plain");
  EXPECT_EQ(plain.st_uid, 123u);
  EXPECT_EQ(plain.st_gid, 456u);
  EXPECT_EQ(plain.st_mode, S_IFREG | 04751u);
  EXPECT_EQ(plain.st_mtim.tv_sec, 2000);
  EXPECT_EQ(plain.st_mtim.tv_nsec, 5);
  EXPECT_EQ(plain.st_nlink, 3u);
  EXPECT_EQ(Look(to_ + "/sub/third").st_ino, plain.st_ino);
  char value[8];
  EXPECT_EQ(getxattr((to_ + "/plain").c_str(), "user.note", value, 8), 1);
  EXPECT_EQ(fs::read_symlink(to_ + "/sub/link"), "/etc/passwd");
  EXPECT_EQ(Look(to_ + "/sub/pipe").st_mode, S_IFIFO | 0620u);
  EXPECT_EQ(Look(to_ + "/sub").st_mode, S_IFDIR | 0710u);
  EXPECT_EQ(Look(to_ + "/sub").st_mtim.tv_sec, 2000);
  EXPECT_EQ(Look(to_).st_uid, 77u);
}

TEST_F(CopyTreeTest, KeepsHoles) {
  UniqueFd fd(open((from_ + "/sparse").c_str(), O_RDWR | O_CREAT, 0600));
  ASSERT_EQ(pwrite(fd.get(), "a", 1, 0), 1);
  ASSERT_EQ(pwrite(fd.get(), "z", 1, 100 << 20), 1);
  ASSERT_EQ(ftruncate(fd.get(), 200 << 20), 0);
  ASSERT_OK_AND_ASSIGN(const TreeUsage size, CopyTree(from_, to_));
  const struct stat copy = Look(to_ + "/sparse");
  EXPECT_EQ(copy.st_size, 200 << 20);
  EXPECT_LT(copy.st_blocks * 512, 1 << 20);
  EXPECT_LT(size.bytes, 1 << 20);
  UniqueFd read(open((to_ + "/sparse").c_str(), O_RDONLY));
  char c = 0;
  EXPECT_EQ(pread(read.get(), &c, 1, 100 << 20), 1);
  EXPECT_EQ(c, 'z');
}

TEST_F(CopyTreeTest, WhenTooDeep_Refuses) {
  std::string deep = from_;
  for (int i = 0; i < 250; ++i) {
    deep += "/d";
    ASSERT_EQ(mkdir(deep.c_str(), 0755), 0);
  }
  EXPECT_THAT(CopyTree(from_, to_).status(),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("directories deep")));
}

TEST_F(CopyTreeTest, WhenNobodyWaits_Ends) {
  for (int i = 0; i < 600; ++i) Write(std::to_string(i), "x");
  EXPECT_THAT(CopyTree(from_, to_, [] { return false; }).status(),
              StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(CopyTreeTest, EntersNoOtherMount) {
  fs::create_directory(from_ + "/other");
  ASSERT_OK(Mount("none", from_ + "/other", "tmpfs", 0, "size=1m"));
  Write("other/secret", "x");
  Write("mine", "x");
  ASSERT_OK_AND_ASSIGN(const TreeUsage measured, MeasureTree(from_, 1000));
  EXPECT_EQ(measured.entries, 2);
  ASSERT_OK(CopyTree(from_, to_));
  EXPECT_EQ(Read("mine"), "x");
  EXPECT_FALSE(fs::exists(to_ + "/other"));
  ASSERT_OK(Unmount(from_ + "/other"));
}

TEST(MountsTest, WhenTextIsOdd_ParsesTheRest) {
  const std::vector<MountPoint> mounts = ParseMounts(
      "25 1 0:22 / /a\\040b rw,nosuid shared:1 - ext4 /dev/loop3 rw\n"
      "nonsense\n\n"
      "26 1 0:23 / /c rw - tmpfs none rw,size=1k\n");
  ASSERT_EQ(mounts.size(), 2u);
  EXPECT_EQ(mounts[0].path, "/a b");
  EXPECT_EQ(mounts[0].type, "ext4");
  EXPECT_EQ(mounts[0].source, "/dev/loop3");
  EXPECT_EQ(mounts[1].path, "/c");
}

TEST(MountsTest, UnmountsWhatIsBelowAndNothingBeside) {
  testing::TempDir dir;
  for (const char* name : {"a", "a/b", "ab"}) {
    fs::create_directory(dir / name);
    ASSERT_OK(Mount("none", dir / name, "tmpfs", 0, "size=64k"));
    if (std::string(name) == "a") fs::create_directory(dir / "a/b");
  }
  ASSERT_OK(UnmountBelow(dir / "a"));
  ASSERT_OK_AND_ASSIGN(const std::vector<MountPoint> mounts, ListMounts());
  std::vector<std::string> left;
  for (const MountPoint& m : mounts) {
    if (m.path.rfind(dir.path(), 0) == 0) left.push_back(m.path);
  }
  EXPECT_THAT(left, ElementsAre(dir / "ab"));
  EXPECT_OK(Unmount(dir / "ab"));
  EXPECT_OK(Unmount(dir / "ab"));
  EXPECT_OK(Unmount(dir / "never-was"));
}

TEST(LoopTest, WhenItsLastUserGoes_TheDeviceIsFree) {
  testing::TempDir dir;
  UniqueFd fd(open((dir / "file").c_str(), O_RDWR | O_CREAT, 0600));
  ASSERT_EQ(ftruncate(fd.get(), 1 << 20), 0);
  std::string path;
  {
    ASSERT_OK_AND_ASSIGN(const LoopDevice loop,
                         AttachLoop(dir / "file", false, dir.path()));
    path = loop.path;
    ASSERT_OK_AND_ASSIGN(const std::string file, LoopBackingFile(path));
    EXPECT_EQ(file, dir / "file");
    // Whatever the file is called by now.
    fs::rename(dir / "file", dir / "renamed");
    ASSERT_OK_AND_ASSIGN(const std::string found,
                         FindLoop(dir / "renamed", dir.path()));
    EXPECT_EQ(found, path);
  }
  ASSERT_OK_AND_ASSIGN(const std::string found,
                       FindLoop(dir / "renamed", dir.path()));
  EXPECT_EQ(found, "");
  EXPECT_THAT(AttachLoop(dir / "none", false, dir.path()).status(),
              StatusIs(absl::StatusCode::kNotFound));
}

// A host, or container, whose /dev shows no devices that are new.
TEST(LoopTest, WhenDevHasNoNodes_ADeviceIsFoundAllTheSame) {
  testing::TempDir dir;
  UniqueFd fd(open((dir / "file").c_str(), O_RDWR | O_CREAT, 0600));
  ASSERT_EQ(ftruncate(fd.get(), 1 << 20), 0);
  struct stat control {};
  ASSERT_EQ(stat("/dev/loop-control", &control), 0);
  ASSERT_OK(Mount("none", "/dev", "tmpfs", 0, "mode=755"));
  ASSERT_EQ(mknod("/dev/loop-control", S_IFCHR | 0600, control.st_rdev), 0);
  {
    ASSERT_OK_AND_ASSIGN(const LoopDevice loop,
                         AttachLoop(dir / "file", false, dir.path()));
    EXPECT_EQ(loop.path.rfind(dir.path(), 0), 0u) << loop.path;
    ASSERT_OK_AND_ASSIGN(std::string found, FindLoop(dir / "file", dir.path()));
    EXPECT_EQ(found, loop.path);
    // Where no node can be made, sysfs still names the file.
    ASSERT_EQ(unlink(loop.path.c_str()), 0);
    ASSERT_OK_AND_ASSIGN(found, FindLoop(dir / "file", dir / "none"));
    EXPECT_NE(found, "");
  }
  EXPECT_OK(Unmount("/dev"));
}

class ProgramTest : public ::testing::Test {
 protected:
  static Program Shell(const std::string& script) {
    Program program;
    program.name = "sh";
    program.args = {"-c", script};
    return program;
  }
};

TEST_F(ProgramTest, GivesBothStreamsAndTheStatus) {
  ASSERT_OK_AND_ASSIGN(const ProgramResult result,
                       RunProgram(Shell("echo out; echo err >&2; exit 3")));
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.output, "out\n");
  EXPECT_EQ(result.errors, "err\n");
}

TEST_F(ProgramTest, HandsTheSecretOverAPipe) {
  Program program = Shell(
      "pwd; cat /proc/self/fd/3; tr '\\0' ' ' "
      "</proc/$$/environ; tr '\\0' ' ' </proc/$$/cmdline");
  program.secret = SecretText("hush");
  program.directory = "/usr";
  ASSERT_OK_AND_ASSIGN(const ProgramResult result, RunProgram(program));
  EXPECT_THAT(result.output, HasSubstr("/usr\nhush"));
  EXPECT_EQ(result.output.find("hush"), result.output.rfind("hush"));
}

// An interpreter holds it in its memory; a crash must not put it on the disk.
TEST_F(ProgramTest, WhenItHasASecret_ItDumpsNoCore) {
  rlimit ours{};
  ASSERT_EQ(getrlimit(RLIMIT_CORE, &ours), 0);
  if (ours.rlim_max == 0) GTEST_SKIP() << "the hard limit is 0 already";
  const rlimit all = {ours.rlim_max, ours.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_CORE, &all), 0);
  Program program =
      Shell("read secret <&3; echo $secret; ulimit -c; ulimit -Hc");
  program.secret = SecretText("hush\n");
  ASSERT_OK_AND_ASSIGN(ProgramResult result, RunProgram(program));
  EXPECT_EQ(result.output, "hush\n0\n0\n");
  ASSERT_OK_AND_ASSIGN(result, RunProgram(Shell("ulimit -c")));
  EXPECT_NE(result.output, "0\n");
  ASSERT_EQ(setrlimit(RLIMIT_CORE, &ours), 0);
}

TEST_F(ProgramTest, GivesLinesAsTheyCome) {
  std::vector<std::string> lines;
  Program program = Shell("echo one; printf two");
  program.on_line = [&](absl::string_view line) { lines.emplace_back(line); };
  ASSERT_OK(RunProgram(program));
  EXPECT_THAT(lines, ElementsAre("one", "two"));
}

TEST_F(ProgramTest, WhenNotWantedOrTooSlow_EndsIt) {
  Program program = Shell("exec sleep 1000");
  program.wanted = [] { return false; };
  EXPECT_THAT(RunProgram(program), StatusIs(absl::StatusCode::kCancelled));
  program.wanted = nullptr;
  program.timeout = absl::Milliseconds(10);
  EXPECT_THAT(RunProgram(program),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  program.name = "no-such-program";
  EXPECT_THAT(RunProgram(program), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ProgramTest, WhenAChildOfItKeepsTheStreams_DoesNotWaitForThat) {
  ASSERT_OK_AND_ASSIGN(const ProgramResult result,
                       RunProgram(Shell("sleep 30 & echo $!")));
  const int pid = std::atoi(result.output.c_str());
  ASSERT_GT(pid, 0);
  EXPECT_EQ(kill(pid, SIGKILL), 0);
}

TEST_F(ProgramTest, WhenItStartsOthers_NoneOutlivesIt) {
  const auto ends = [](const std::string& pid) {
    for (int i = 0; i < 1000; ++i) {
      // Not there, or for its parent to reap.
      const auto stat = ReadFile("/proc/" + pid + "/stat", 4096);
      if (!stat.ok() || stat->find(") Z ") != std::string::npos) return true;
      absl::SleepFor(absl::Milliseconds(10));
    }
    return false;
  };
  Program program = Shell("sleep 1000 & echo $!");
  program.has_children = true;
  ASSERT_OK_AND_ASSIGN(const ProgramResult result, RunProgram(program));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(ends(result.output.substr(0, result.output.find('\n'))));
  // Both sleeps end, too, when it is not wanted any more.
  std::vector<std::string> pids;
  program = Shell("sleep 1000 & echo $!; sh -c 'echo $$; exec sleep 1000'");
  program.has_children = true;
  program.on_line = [&](absl::string_view line) { pids.emplace_back(line); };
  program.wanted = [&] { return pids.size() < 2; };
  EXPECT_THAT(RunProgram(program), StatusIs(absl::StatusCode::kCancelled));
  ASSERT_EQ(pids.size(), 2u);
  EXPECT_TRUE(ends(pids[0]));
  EXPECT_TRUE(ends(pids[1]));
}

}  // namespace
}  // namespace bulwark::os
