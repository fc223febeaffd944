// Against the real program.
#include "volumes/restic/restic_backups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "os/files.h"
#include "os/mounts.h"

namespace bulwark::volumes {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using testing::StatusIs;

const Wanted kWanted = [] { return true; };
constexpr char kPassword[] = "correct horse";

class PrivateMounts final : public ::testing::Environment {
 public:
  void SetUp() override {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0) << "this test needs root";
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  }
};
const auto* const kPrivate =
    ::testing::AddGlobalTestEnvironment(new PrivateMounts);

class ResticBackupsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"work", "source/data/sub", "target/data"}) {
      fs::create_directories(dir_ / name);
    }
    Write("one");
  }
  void Write(const std::string& text) {
    std::ofstream(dir_ / "source/data/sub/file") << text;
  }
  std::string Restored() {
    return os::ReadFile(dir_ / "target/data/sub/file", 1000).value_or("none");
  }
  void ClearTarget() {
    fs::remove_all(dir_ / "target");
    fs::create_directories(dir_ / "target/data");
  }
  absl::StatusOr<BackupInfo> Backup(const std::string& owner, int keep = 0) {
    return backups_.Backup(repository_, dir_ / "source", owner, keep, nullptr,
                           kWanted);
  }
  absl::Status Restore(const std::string& owner, const std::string& id) {
    return backups_.Restore(repository_, owner, id, dir_ / "target", kWanted);
  }
  std::vector<std::string> Locks() {
    std::vector<std::string> names;
    for (const auto& entry :
         fs::directory_iterator(repository_.path + "/locks")) {
      names.push_back(entry.path().filename());
    }
    return names;
  }

  // Whether it was stopped before it could end.
  static bool Stands(pid_t pid) {
    std::string line;
    for (int i = 0; i < 100; ++i) {
      std::ifstream stat(absl::StrCat("/proc/", pid, "/stat"));
      if (!std::getline(stat, line)) return false;
      const size_t name = line.rfind(") ");
      if (name == std::string::npos) return false;
      const char state = line[name + 2];
      if (state == 'T') return true;
      if (state == 'Z' || state == 'X') return false;
      usleep(1000);
    }
    return false;
  }

  // Ends the next restic that this process runs.
  static bool KillRestic() {
    for (int i = 0; i < 10000; ++i) {
      for (const auto& task : fs::directory_iterator("/proc/self/task")) {
        std::ifstream children(task.path() / "children");
        pid_t pid = 0;
        while (children >> pid) {
          std::string name;
          std::ifstream(absl::StrCat("/proc/", pid, "/comm")) >> name;
          if (name == "restic" && kill(pid, SIGSTOP) == 0 && Stands(pid)) {
            return kill(pid, SIGKILL) == 0;
          }
        }
      }
      usleep(1000);
    }
    return false;
  }

  testing::TempDir dir_;
  ResticBackups backups_{dir_ / "work"};
  Repository repository_{dir_ / "repo", SecretText(kPassword)};
};

TEST_F(ResticBackupsTest, WhatWasBackedUpComesBack) {
  ASSERT_EQ(chown((dir_ / "source/data").c_str(), 999, 998), 0);
  ASSERT_EQ(chmod((dir_ / "source/data").c_str(), 0700), 0);
  ASSERT_OK(backups_.Prepare(repository_));
  ASSERT_OK(backups_.Prepare(repository_));
  ASSERT_OK_AND_ASSIGN(const BackupInfo first, Backup("default/a"));
  EXPECT_GT(first.size_bytes, 0);
  Write("two");
  ASSERT_OK_AND_ASSIGN(const BackupInfo second, Backup("default/a"));
  ASSERT_OK_AND_ASSIGN(const std::vector<BackupInfo> all,
                       backups_.List(repository_, "default/a"));
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0].id, second.id);
  EXPECT_EQ(all[1].id, first.id);

  ASSERT_OK(Restore("default/a", ""));
  EXPECT_EQ(Restored(), "two");
  struct stat top {};
  ASSERT_EQ(stat((dir_ / "target/data").c_str(), &top), 0);
  EXPECT_EQ(top.st_uid, 999u);
  EXPECT_EQ(top.st_mode & 07777, 0700u);
  ClearTarget();
  ASSERT_OK(Restore("default/a", first.id));
  EXPECT_EQ(Restored(), "one");
  EXPECT_THAT(Locks(), IsEmpty());
}

TEST_F(ResticBackupsTest, KeepsTheOwnersNewestAndNoOthers) {
  ASSERT_OK(backups_.Prepare(repository_));
  ASSERT_OK(Backup("default/b"));
  ASSERT_OK(Backup("default/a"));
  for (int i = 0; i < 3; ++i) {
    Write(absl::StrCat("text ", i));
    ASSERT_OK(Backup("default/a", 2));
  }
  EXPECT_THAT(*backups_.List(repository_, "default/a"), SizeIs(2));
  EXPECT_THAT(*backups_.List(repository_, "default/b"), SizeIs(1));
  EXPECT_THAT(*backups_.List(repository_, "default/none"), IsEmpty());
  EXPECT_THAT(Restore("default/none", ""),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no backup")));
  EXPECT_THAT(Restore("default/a", "12345678"),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ResticBackupsTest, WhenThePasswordIsWrong_SaysSoAndNeverWhich) {
  ASSERT_OK(backups_.Prepare(repository_));
  repository_.password = SecretText("battery staple");
  const absl::Status status = Backup("default/a").status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kPermissionDenied,
                               HasSubstr("password does not open")));
  EXPECT_THAT(status.ToString(), Not(HasSubstr("staple")));
  EXPECT_THAT(backups_.Prepare(repository_),
              StatusIs(absl::StatusCode::kPermissionDenied));
  repository_.password = SecretText();
  EXPECT_THAT(Backup("default/a").status(),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ResticBackupsTest, WhenTheTargetIsGone_SaysSo) {
  EXPECT_THAT(Backup("default/a").status(),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("is the disk or share mounted")));
  EXPECT_THAT(backups_.List(repository_, "default/a"),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_FALSE(fs::exists(repository_.path));
}

TEST_F(ResticBackupsTest, WhenTheTargetIsFull_SaysSoAndRecovers) {
  fs::create_directory(dir_ / "small");
  ASSERT_OK(os::Mount("none", dir_ / "small", "tmpfs", 0, "size=1m"));
  repository_.path = dir_ / "small/repo";
  ASSERT_OK(backups_.Prepare(repository_));
  {
    std::ifstream random("/dev/urandom", std::ios::binary);
    std::string bytes(8 << 20, '\0');
    random.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    std::ofstream(dir_ / "source/data/big", std::ios::binary) << bytes;
  }
  EXPECT_THAT(Backup("default/a").status(),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("no space left there")));
  EXPECT_THAT(Locks(), IsEmpty());
  ASSERT_OK(os::Mount("none", dir_ / "small", "tmpfs", MS_REMOUNT, "size=64m"));
  ASSERT_OK(Backup("default/a"));
  EXPECT_THAT(*backups_.List(repository_, "default/a"), SizeIs(1));
  ASSERT_OK(os::UnmountBelow(dir_ / "small"));
}

TEST_F(ResticBackupsTest, WhenARestoreDoesNotFit_SaysThatOfTheVolume) {
  ASSERT_OK(backups_.Prepare(repository_));
  std::ofstream(dir_ / "source/data/big") << std::string(8 << 20, 'x');
  ASSERT_OK(Backup("default/a"));
  ASSERT_OK(os::Mount("none", dir_ / "target/data", "tmpfs", 0, "size=1m"));
  EXPECT_THAT(Restore("default/a", ""),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("it does not fit into the volume")));
  EXPECT_THAT(Locks(), IsEmpty());
  ASSERT_OK(os::Unmount(dir_ / "target/data"));
  ASSERT_OK(Restore("default/a", ""));
}

// restic makes a backup of the rest, and says so with its exit status.
TEST_F(ResticBackupsTest, WhenAPartCannotBeRead_NoHalfBackupStays) {
  ASSERT_OK(backups_.Prepare(repository_));
  Write("whole");
  ASSERT_OK_AND_ASSIGN(const BackupInfo good, Backup("default/a", 1));
  Write("half");
  const std::string bad = dir_ / "source/data/bad";
  std::ofstream(bad) << "";
  ASSERT_OK(os::Mount("/proc/self/mem", bad, "", MS_BIND, ""));
  EXPECT_THAT(Backup("default/a", 1).status(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("data/bad")));
  ASSERT_OK(os::Unmount(bad));
  ASSERT_OK_AND_ASSIGN(const std::vector<BackupInfo> all,
                       backups_.List(repository_, "default/a"));
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].id, good.id);
  ASSERT_OK(Restore("default/a", ""));
  EXPECT_EQ(Restored(), "whole");
  EXPECT_THAT(Locks(), IsEmpty());
}

// restic itself refuses to remove backups while others are made.
TEST_F(ResticBackupsTest, WhenSeveralAreMadeAtOnce_EachIsMadeAndKept) {
  constexpr int kOwners = 3;
  std::vector<std::thread> threads;
  for (int i = 0; i < kOwners; ++i) {
    threads.emplace_back([&, i] {
      const std::string owner = absl::StrCat("default/", i);
      Repository repository = repository_;
      if (i == 1) repository.path += "/";
      EXPECT_OK(backups_.Prepare(repository));
      for (int round = 0; round < 2; ++round) {
        EXPECT_OK(backups_.Backup(repository, dir_ / "source", owner, 1,
                                  nullptr, kWanted));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < kOwners; ++i) {
    EXPECT_THAT(*backups_.List(repository_, absl::StrCat("default/", i)),
                SizeIs(1));
  }
  EXPECT_THAT(Locks(), IsEmpty());
}

TEST_F(ResticBackupsTest, WhenResticIsKilled_SaysThat) {
  ASSERT_OK(backups_.Prepare(repository_));
  bool killed = false;
  std::thread killer([&] { killed = KillRestic(); });
  const absl::Status status = Backup("default/a").status();
  killer.join();
  ASSERT_TRUE(killed);
  EXPECT_THAT(status.message(), HasSubstr("restic was killed by signal 9"));
  ASSERT_OK(Backup("default/a"));
}

TEST_F(ResticBackupsTest, WhenNobodyWaits_EndsAndLeavesNoLock) {
  ASSERT_OK(backups_.Prepare(repository_));
  EXPECT_THAT(backups_.Backup(repository_, dir_ / "source", "default/a", 0,
                              nullptr, [] { return false; }),
              StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(Locks(), IsEmpty());
  // A lock of a process that was killed.
  ASSERT_OK(Backup("default/a"));
  EXPECT_THAT(*backups_.List(repository_, "default/a"), SizeIs(1));
}

}  // namespace
}  // namespace bulwark::volumes
