#include "os/user_namespace.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "os/files.h"

namespace bulwark::os {
namespace {

using testing::StatusIs;
using testing::TempDir;

constexpr IdRange kIds = {1879048192, 65536};

ino_t Inode(int fd) {
  struct stat st = {};
  EXPECT_EQ(fstat(fd, &st), 0);
  return st.st_ino;
}

size_t OpenFiles() { return ListDir("/proc/self/fd").value().size(); }

TEST(UserNamespaceTest, WhenMade_TheNetworkNamespaceBelongsToIt) {
  ASSERT_OK_AND_ASSIGN(const UserNamespace made, MakeUserNamespace(kIds));
  const UniqueFd owner(ioctl(made.network.get(), NS_GET_USERNS));
  ASSERT_TRUE(owner.ok());
  EXPECT_EQ(Inode(owner.get()), Inode(made.user.get()));
}

// Whether root of it is the first of kIds, seen by the owners of a file.
void ExpectMapped(const UserNamespace& made) {
  const TempDir dir;
  const std::string file = dir / "file";
  ASSERT_EQ(chmod((dir / ".").c_str(), 0777), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    const bool good = setns(made.user.get(), CLONE_NEWUSER) == 0 &&
                      setresgid(7, 7, 7) == 0 && setresuid(5, 5, 5) == 0 &&
                      open(file.c_str(), O_WRONLY | O_CREAT, 0600) >= 0;
    _exit(good ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  ASSERT_EQ(status, 0);
  struct stat st = {};
  ASSERT_EQ(stat(file.c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, kIds.first + 5);
  EXPECT_EQ(st.st_gid, kIds.first + 7);
}

TEST(UserNamespaceTest, WhenEntered_RootInsideIsTheFirstOfTheRange) {
  ASSERT_OK_AND_ASSIGN(const UserNamespace made, MakeUserNamespace(kIds));
  ExpectMapped(made);
}

TEST(UserNamespaceTest, WhenMappedLater_IsAsIfMadeSo) {
  const size_t before = OpenFiles();
  ASSERT_OK_AND_ASSIGN(const UnmappedUserNamespace made,
                       MakeUnmappedUserNamespace());
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
  const UniqueFd owner(ioctl(made.namespaces.network.get(), NS_GET_USERNS));
  EXPECT_EQ(Inode(owner.get()), Inode(made.namespaces.user.get()));
  ASSERT_OK(made.Map(kIds));
  ExpectMapped(made.namespaces);
  EXPECT_EQ(OpenFiles(), before + 5);
}

TEST(UserNamespaceTest, WhenMappedTwice_IsRefused) {
  ASSERT_OK_AND_ASSIGN(const UnmappedUserNamespace made,
                       MakeUnmappedUserNamespace());
  ASSERT_OK(made.Map(kIds));
  EXPECT_FALSE(made.Map({kIds.first + kIds.size, kIds.size}).ok());
  ExpectMapped(made.namespaces);
}

TEST(UserNamespaceTest, WhenManyAreMadeAtOnce_NoneIsLeftBehind) {
  const size_t before = OpenFiles();
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 4; ++i) {
    threads.emplace_back([i] {
      for (uint32_t n = 0; n < 10; ++n) {
        EXPECT_OK(MakeUserNamespace({kIds.first + i * 65536, 65536}));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(OpenFiles(), before);
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
}

TEST(UserNamespaceTest, WhenTheRangeIsNone_IsRefusedAndLeavesNothing) {
  EXPECT_FALSE(MakeUserNamespace({0, 0}).ok());
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
}

TEST(UserNamespaceTest, WhenTheDirectoryIsOfTheKernel_ItsIdsCannotBeMapped) {
  const TempDir dir;
  EXPECT_OK(CheckUserNamespaces(dir / "."));
  EXPECT_THAT(CheckUserNamespaces("/proc"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(UserNamespaceTest, WhenAPartOfProcIsCovered_SaysSo) {
  const pid_t pid = fork();
  if (pid == 0) {
    const bool covered =
        unshare(CLONE_NEWNS) == 0 &&
        mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
        mount("tmpfs", "/proc/fs", "tmpfs", 0, nullptr) == 0;
    const absl::Status status = CheckUserNamespaces("/");
    _exit(!covered ? 2
          : absl::IsFailedPrecondition(status) &&
                  status.message().find("proc") != std::string::npos
              ? 0
              : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

TEST(IdRangeTest, WhenRangesTouch_TheyDoNotOverlap) {
  EXPECT_FALSE((IdRange{10, 5}.Overlaps({15, 5})));
  EXPECT_TRUE((IdRange{10, 6}.Overlaps({15, 5})));
  EXPECT_FALSE((IdRange{10, 0}.Overlaps({10, 0})));
  EXPECT_TRUE((IdRange{0xffff0000, 0xffff}.Overlaps({0xffff0001, 1})));
}

}  // namespace
}  // namespace bulwark::os
