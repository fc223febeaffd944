// tools/install and tools/uninstall, below a folder of their own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/testing/temp_dir.h"
#include "tests/e2e/process.h"
#include "tests/e2e/world.h"

namespace bulwark::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

namespace fs = std::filesystem;

class InstallTest : public ::testing::Test {
 protected:
  InstallTest() {
    fs::create_directories(dir_ / "from");
    for (const char* path :
         {"ctl/ctl", "daemon/bulwarkd", "engine/oci/bulwark-oci", "engine/shim/bulwark-shim",
          "dataplane/bulwark-keeper", "dataplane/bulwark-proxy"}) {
      fs::copy_file(
          World::Runfile(path),
          dir_ / absl::StrCat("from/", fs::path(path).filename().string()));
    }
  }

  // With the flags of this test before others.
  Result Install(std::vector<std::string> more = {}) {
    more.insert(more.begin(),
                {World::Runfile("tools/install"), "--destdir", root_,
                 "--prefix", "/usr", "--from", dir_ / "from"});
    return e2e::Run(more);
  }
  Result Uninstall(std::vector<std::string> more = {}) {
    more.insert(more.begin(), {World::Runfile("tools/uninstall"), "--destdir",
                               root_, "--prefix", "/usr"});
    return e2e::Run(more);
  }
  std::string In(const std::string& path) const { return root_ + path; }

  // All files, without the root.
  std::set<std::string> Files() const {
    std::set<std::string> files;
    if (!fs::exists(root_)) return files;
    for (const auto& entry : fs::recursive_directory_iterator(root_)) {
      if (!entry.is_directory()) {
        files.insert(entry.path().string().substr(root_.size()));
      }
    }
    return files;
  }
  static ino_t Inode(const std::string& path) {
    struct stat info {};
    stat(path.c_str(), &info);
    return info.st_ino;
  }

  testing::TempDir dir_;
  const std::string root_ = dir_ / "root";
};

TEST_F(InstallTest, WhenInstalled_EverythingIsInItsPlace) {
  ASSERT_TRUE(Install().ok());
  EXPECT_THAT(
      Files(),
      IsSupersetOf(
          {"/usr/bin/bulwarkd", "/usr/bin/ctl", "/usr/bin/bulwark-oci", "/usr/lib/bulwark/bulwark-shim",
           "/usr/lib/bulwark/bulwark-keeper", "/usr/lib/bulwark/bulwark-proxy",
           "/usr/lib/bulwark/stop-services",
           "/usr/lib/systemd/system/bulwarkd.service",
           "/usr/lib/sysusers.d/bulwark.conf",
           "/usr/share/bash-completion/completions/ctl",
           "/usr/share/zsh/site-functions/_ctl",
           "/etc/bulwark/bulwarkd.yaml"}));
  for (const std::string& file : Files()) {
    EXPECT_THAT(file, Not(HasSubstr(".new")));
    EXPECT_THAT(ReadFile(In(file)).substr(0, 4096), Not(HasSubstr("@PREFIX@")))
        << file;
  }
  EXPECT_TRUE(e2e::Run({In("/usr/bin/bulwarkd"), "--check-config", "--config",
                        In("/etc/bulwark/bulwarkd.yaml"), "--socket-group",
                        "root", "--bin-dir", In("/usr/lib/bulwark")})
                  .ok());
  EXPECT_THAT(ReadFile(In("/etc/bulwark/bulwarkd.yaml")),
              HasSubstr("\nsocket-group: bulwark\n"));
}

TEST_F(InstallTest, TheUnitLetsContainersLive) {
  ASSERT_TRUE(Install().ok());
  const std::string unit =
      ReadFile(In("/usr/lib/systemd/system/bulwarkd.service"));
  for (const char* line :
       {"KillMode=process", "Delegate=yes", "OOMPolicy=continue",
        "OOMScoreAdjust=-999", "StartLimitIntervalSec=0", "Restart=always",
        "ExecStart=/usr/bin/bulwarkd --i-own-this-host --bin-dir "
        "/usr/lib/bulwark",
        "ExecStop=-/usr/lib/bulwark/stop-services"}) {
    EXPECT_THAT(unit, HasSubstr(absl::StrCat("\n", line, "\n")));
  }
  // systemd removes it at each stop, with the sockets of what runs on.
  EXPECT_THAT(unit, Not(HasSubstr("RuntimeDirectory")));
  const Result verified = e2e::Run({"systemd-analyze", "verify", "--man=no",
                                    "--root", root_, "bulwarkd.service"});
  // A root without targets has other faults; none may be of this unit's lines.
  EXPECT_THAT(verified.err,
              Not(::testing::ContainsRegex("bulwarkd\\.service:[0-9]")))
      << verified.ToString();
}

TEST_F(InstallTest, WhenTheHostStays_StopServicesDoesNothing) {
  ASSERT_TRUE(Install().ok());
  // Stand-ins for systemctl and ctl, which say that they were called.
  fs::create_directories(dir_ / "path");
  const std::string script = ReadFile(In("/usr/lib/bulwark/stop-services"));
  const std::string called = dir_ / "called";
  WriteFile(
      dir_ / "ctl",
      absl::StrCat("#!/bin/sh\necho \"$BULWARK_SOCKET $*\" > ", called, "\n"));
  chmod((dir_ / "ctl").c_str(), 0755);
  std::string patched = script;
  patched.replace(patched.find("/usr/bin/ctl"), 12, dir_ / "ctl");
  const std::string settings = "/etc/bulwark/bulwarkd.yaml";
  patched.replace(patched.find(settings), settings.size(),
                  dir_ / "bulwarkd.yaml");
  WriteFile(dir_ / "stop", patched);
  WriteFile(dir_ / "bulwarkd.yaml",
            "log-level: info\nsocket: '/run/own.sock'  # the group's\n");
  for (const char* state : {"running", "degraded", "stopping"}) {
    WriteFile(dir_ / "path/systemctl",
              absl::StrCat("#!/bin/sh\necho ", state, "\n"));
    chmod((dir_ / "path/systemctl").c_str(), 0755);
    EXPECT_TRUE(
        e2e::Run({"env", absl::StrCat("PATH=", dir_ / "path", ":/usr/bin:/bin"),
                  "sh", dir_ / "stop"})
            .ok());
    EXPECT_EQ(fs::exists(called), state == std::string("stopping")) << state;
  }
  EXPECT_EQ(ReadFile(called), "unix:///run/own.sock shutdown --timeout 90s\n");
}

TEST_F(InstallTest, WhenRunAgain_UpgradesByRenameAndKeepsSettings) {
  ASSERT_TRUE(Install().ok());
  const std::string shim = In("/usr/lib/bulwark/bulwark-shim");
  const std::set<std::string> files = Files();
  const ino_t before = Inode(shim);
  WriteFile(In("/etc/bulwark/bulwarkd.yaml"), "log-level: debug\n");
  // A file that an older version had.
  WriteFile(In("/usr/lib/bulwark/old"), "old");
  WriteFile(In("/usr/lib/bulwark/installed-files"),
            ReadFile(In("/usr/lib/bulwark/installed-files")) +
                "/usr/lib/bulwark/old\n");
  const Result again = Install();
  ASSERT_TRUE(again.ok()) << again.ToString();
  EXPECT_EQ(Files(), files);
  EXPECT_NE(Inode(shim), before);
  EXPECT_EQ(ReadFile(In("/etc/bulwark/bulwarkd.yaml")), "log-level: debug\n");
}

TEST_F(InstallTest, WhenAProgramIsMissing_ChangesNothing) {
  fs::remove(dir_ / "from/bulwark-proxy");
  const Result result = Install();
  EXPECT_FALSE(result.ok());
  EXPECT_THAT(result.err, HasSubstr("no bulwark-proxy"));
  EXPECT_TRUE(Files().empty());
}

TEST_F(InstallTest, WhenAFlagIsWrong_SaysSo) {
  EXPECT_EQ(Install({"--no-such"}).code, 2);
  EXPECT_EQ(Install({"--prefix", "relative"}).code, 2);
  EXPECT_EQ(Uninstall({"--no-such"}).code, 2);
}

TEST_F(InstallTest, WhenUninstalled_KeepsStateUnlessPurged) {
  ASSERT_TRUE(Install().ok());
  fs::create_directories(In("/var/lib/bulwark/store"));
  WriteFile(In("/var/lib/bulwark/store/data"), "precious");
  ASSERT_TRUE(Uninstall().ok());
  EXPECT_THAT(Files(),
              ::testing::UnorderedElementsAre("/var/lib/bulwark/store/data",
                                              "/etc/bulwark/bulwarkd.yaml"));
  ASSERT_TRUE(Uninstall().ok());  // again
  ASSERT_TRUE(Uninstall({"--purge"}).ok());
  EXPECT_TRUE(Files().empty());
}

}  // namespace
}  // namespace bulwark::e2e
