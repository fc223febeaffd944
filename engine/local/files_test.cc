// Files in and out of real containers, some of which work against it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/image/tar_reader.h"
#include "engine/image/testing/tar_builder.h"
#include "engine/local/mount_points.h"
#include "engine/local/testing/local_world.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::Not;

// With users of its own, and with the host's.
class FilesTest : public ::testing::TestWithParam<bool> {
 protected:
  FilesTest() {
    if (GetParam()) world_.SetIds({1879048192 + 10 * 65536, 65536});
  }
  LocalEngine& engine() { return world_.engine(); }

  // "name size uid", of all entries.
  absl::StatusOr<std::vector<std::string>> From(const std::string& path,
                                                bool follow = false) {
    std::string tar;
    RETURN_IF_ERROR(
        engine().CopyFrom("a", path, follow, [&](absl::string_view data) {
          tar.append(data.data(), data.size());
          return absl::OkStatus();
        }));
    return Entries(tar);
  }
  absl::StatusOr<std::vector<std::string>> Entries(const std::string& tar) {
    image::StringSource source(tar);
    image::TarReader reader(&source);
    image::TarEntry entry;
    std::vector<std::string> entries;
    for (;;) {
      ASSIGN_OR_RETURN(const bool more, reader.Next(&entry));
      if (!more) return entries;
      entries.push_back(
          absl::StrCat(entry.path, " ", entry.size, " ", entry.uid));
    }
  }
  absl::Status To(const std::string& path, const std::string& tar,
                  bool keep_ids = false) {
    size_t at = 0;
    return engine()
        .CopyTo("a", path, keep_ids,
                [&]() -> absl::StatusOr<std::string> {
                  const std::string piece = tar.substr(at, 1000);
                  at += piece.size();
                  return piece;
                })
        .status();
  }

  testing::LocalWorld world_;
};

INSTANTIATE_TEST_SUITE_P(Users, FilesTest, ::testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "Own" : "OfHost";
                         });

TEST_P(FilesTest, WhenCopiedOut_OwnersAreThoseInside) {
  ASSERT_OK(engine().Start(world_.Obedient("a")));
  world_.RunShell("a",
                  "busybox mkdir -p /d/e; echo hi > /d/e/f; "
                  "busybox chown 1000 /d/e/f; busybox ln -s f /d/e/l; "
                  "busybox ln -s d /dl");
  EXPECT_EQ(*From("/d"),
            (std::vector<std::string>{"d/ 0 0", "d/e/ 0 0", "d/e/f 3 1000",
                                      "d/e/l 0 0"}));
  EXPECT_EQ(*From("d/e/f"), (std::vector<std::string>{"f 3 1000"}));
  EXPECT_EQ(*From("/dl"), (std::vector<std::string>{"dl 0 0"}));
  EXPECT_EQ(From("/dl", true)->size(), 4u);
  EXPECT_THAT(From("/nothing"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(From("/proc"), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_P(FilesTest, WhenStarted_NothingIsMadeInTheWritableLayer) {
  const std::string shared = world_.config().state_dir + "/mount-points/root";
  ASSERT_OK(engine().Start(world_.Shell("a", "exec busybox sleep 1000")));
  EXPECT_TRUE(std::filesystem::is_empty(world_.config().state_dir +
                                        "/containers/a/upper"));
  // What they share stays as it is.
  world_.RunShell("a", "echo x > /etc/new");
  EXPECT_THAT(*From("/etc"), Contains("etc/new 2 0"));
  EXPECT_FALSE(std::filesystem::exists(shared + "/etc/new"));
  ASSERT_OK(engine().Start(world_.Shell("b", "exec busybox sleep 1000")));
  EXPECT_THAT(world_.RunShell("b", "cat /etc/new"), HasSubstr("exit 1"));
  EXPECT_THAT(*engine().Diff("a"),
              ElementsAre(Field(&FileChange::path, "/etc"),
                          Field(&FileChange::path, "/etc/new")));
  // Where somebody tidied up, it is made again.
  std::filesystem::remove_all(world_.config().state_dir + "/mount-points");
  ASSERT_OK(engine().Start(world_.Shell("c", "exec busybox sleep 1000")));
  EXPECT_THAT(world_.RunShell("c", "ls /etc"), HasSubstr("resolv.conf"));
}

TEST_P(FilesTest, WhenThereAreAsManyLayersAsAnImageHas_AllCanBeSeen) {
  ContainerSpec spec = world_.Shell("a", "exit 0");
  for (int i = 1; i < 498; ++i) {
    const std::string layer = world_ / absl::StrCat("many/", i);
    std::filesystem::create_directories(layer);
    std::ofstream(layer + "/of-" + std::to_string(i)) << "x";
    spec.layers.push_back(layer);
  }
  ASSERT_OK(engine().Start(spec));
  EXPECT_EQ(world_.AwaitExit("a").exit.code, 0);
  EXPECT_EQ(From("/of-1")->size(), 1u);
  EXPECT_EQ(From("/of-497")->size(), 1u);
  spec.id = "b";
  spec.layers.push_back(spec.layers.back());
  EXPECT_THAT(engine().Start(spec),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(MountPointsTest, WhenThereIsNoRoomForThem_ContainersStartAllTheSame) {
  testing::LocalWorld world;
  const std::string points = world.config().state_dir + "/mount-points";
  world.Close();
  std::filesystem::remove_all(points);
  ASSERT_TRUE(std::filesystem::create_directory(points));
  // Room for two folders.
  ASSERT_EQ(mount("tmpfs", points.c_str(), "tmpfs", 0, "nr_inodes=3"), 0);
  const absl::Cleanup unmount = [&] { umount2(points.c_str(), MNT_DETACH); };
  ASSERT_EQ(mkdir((points + "/probe").c_str(), 0755), 0);
  ASSERT_EQ(mkdir((points + "/probe2").c_str(), 0755), 0);
  EXPECT_NE(mkdir((points + "/probe3").c_str(), 0755), 0);
  std::filesystem::remove(points + "/probe");
  std::filesystem::remove(points + "/probe2");

  world.Reopen();
  EXPECT_OK(world.engine().Start(world.Shell("a", "exit 0")));
  EXPECT_EQ(world.AwaitExit("a").exit.code, 0);
  EXPECT_OK(world.engine().Remove("a"));
}

TEST(MountPointsTest, WhenSomethingElseIsThere_ItIsNamed) {
  ::bulwark::testing::TempDir dir;
  const std::string root = dir / "root";
  ASSERT_OK(MakeMountPoints(root));
  ASSERT_OK(MakeMountPoints(root));
  std::ofstream(root + "/etc/hosts") << "127.0.0.1 elsewhere\n";
  EXPECT_THAT(MakeMountPoints(root),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr(root + "/etc/hosts")));
  std::filesystem::remove(root + "/etc/hosts");
  std::filesystem::create_symlink("/etc/hosts", root + "/etc/hosts");
  EXPECT_THAT(MakeMountPoints(root),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  std::filesystem::remove(root + "/etc/hosts");
  std::ofstream(root + "/dev/null") << "";
  EXPECT_THAT(MakeMountPoints(root),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr(root + "/dev/null")));
}

TEST_P(FilesTest, WhenCopiedIn_TheContainerHasIt) {
  ASSERT_OK(engine().Start(world_.Obedient("a")));
  image::testing::TarOptions owned;
  owned.mode = 0640;
  owned.uid = 1000;
  owned.gid = 44;
  const std::string tar = image::testing::TarBuilder()
                              .Dir("x")
                              .File("x/f", "hello\n", owned)
                              .Symlink("x/l", "f")
                              .Build();
  world_.RunShell("a", "busybox mkdir /in");
  ASSERT_OK(To("/in", tar));
  EXPECT_EQ(world_.RunShell("a",
                            "cat /in/x/l; busybox stat -c '%u %g %a' "
                            "/in/x/f"),
            "hello\n0 0 640\n");
  ASSERT_OK(To("/in", tar, true));
  EXPECT_EQ(world_.RunShell("a", "busybox stat -c '%u %g %a' /in/x/f"),
            "1000 44 640\n");
  EXPECT_THAT(To("/none", tar), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(To("/proc/sys", tar),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  // A folder is not replaced by a file.
  world_.RunShell("a", "busybox mkdir /in/y");
  EXPECT_THAT(To("/in", image::testing::TarBuilder().File("y", "").Build()),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(world_.RunShell("a", "ls /in"), "x\ny\n");
}

TEST_P(FilesTest, WhenTheArchiveIsHostile_NothingLeavesTheContainer) {
  ASSERT_OK(engine().Start(world_.Obedient("a")));
  const std::string victim = world_ / "victim";
  using image::testing::TarBuilder;
  EXPECT_THAT(To("/", TarBuilder().File("../../x", "evil").Build()),
              StatusIs(absl::StatusCode::kInvalidArgument));
  // Links are followed inside of the folder only.
  To("/", TarBuilder()
              .Symlink("out", world_ / "")
              .File("out/victim", "evil")
              .Build())
      .IgnoreError();
  EXPECT_FALSE(std::filesystem::exists(victim));
  EXPECT_THAT(To("/", std::string(2000, 'x')),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(To("/", TarBuilder().Hardlink("passwd", "/etc/shadow").Build()),
              Not(::bulwark::testing::IsOk()));
  EXPECT_OK(To("/", TarBuilder().Device("sda", S_IFBLK, 8, 0).Build()));
  EXPECT_EQ(world_.RunShell("a", "ls /sda; true"),
            "ls: /sda: No such file or directory\n");
}

TEST_P(FilesTest, WhenTheRootIsReadOnly_CopyingInIsRefused) {
  ContainerSpec spec = world_.Obedient("a");
  spec.read_only_root = true;
  spec.mounts.push_back({Mount::Kind::kTmpfs, "", "/scratch"});
  ASSERT_OK(engine().Start(spec));
  const std::string tar = image::testing::TarBuilder().File("f", "x").Build();
  EXPECT_THAT(To("/", tar), Not(::bulwark::testing::IsOk()));
  EXPECT_OK(To("/scratch", tar));
  EXPECT_EQ(world_.RunShell("a", "cat /scratch/f"), "x");
}

// CVE-2018-15664: the container swaps a folder for a link to the host's files
// while they are copied.
TEST_P(FilesTest, WhenAFolderIsSwappedForALink_TheHostIsOutOfReach) {
  const std::string secret = world_ / "secret";
  std::ofstream(secret) << "host";
  ASSERT_OK(engine().Start(world_.Shell(
      "a", absl::StrCat("busybox mkdir -p /d /spare; echo mine > /d/secret; "
                        "while :; do busybox mv /d /e; busybox ln -s ",
                        world_ / "", " /d; busybox rm /d; busybox mv /e /d; ",
                        "done"))));
  const std::string tar =
      image::testing::TarBuilder().File("planted", "evil").Build();
  for (int i = 0; i < 2000; ++i) {
    std::string out;
    engine()
        .CopyFrom("a", "/d/secret", true,
                  [&](absl::string_view data) {
                    out.append(data.data(), data.size());
                    return absl::OkStatus();
                  })
        .IgnoreError();
    EXPECT_THAT(out, Not(HasSubstr("host")));
    To("/d", tar).IgnoreError();
    ASSERT_FALSE(std::filesystem::exists(world_ / "planted"));
  }
}

TEST_P(FilesTest, WhenItHasExited_ItsFilesCanStillBeRead) {
  ASSERT_OK(engine().Start(world_.Shell("a",
                                        "echo new > /n; busybox rm /etc/group; "
                                        "echo x >> /etc/passwd")));
  world_.AwaitExit("a");
  EXPECT_EQ(*From("/n"), (std::vector<std::string>{"n 4 0"}));
  EXPECT_THAT(From("/etc/group"), StatusIs(absl::StatusCode::kNotFound));
  std::string tar;
  ASSERT_OK(engine().Export("a", [&](absl::string_view data) {
    tar.append(data.data(), data.size());
    return absl::OkStatus();
  }));
  ASSERT_OK_AND_ASSIGN(const std::vector<std::string> entries, Entries(tar));
  EXPECT_THAT(entries, Contains("n 4 0"));
  EXPECT_THAT(entries, Contains(HasSubstr("bin/busybox ")));
  EXPECT_THAT(entries, Not(Contains(HasSubstr("etc/group"))));
  EXPECT_THAT(To("/", ""), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_P(FilesTest, WhenCompared_TellsWhatDiffersFromTheImage) {
  std::filesystem::create_directories(world_.Layer() + "/keep/sub");
  std::ofstream(world_.Layer() + "/keep/one") << "1";
  std::ofstream(world_.Layer() + "/keep/sub/two") << "2";
  ASSERT_OK(engine().Start(world_.Obedient("a")));
  EXPECT_EQ(
      world_.RunShell(
          "a",
          "echo new > /n; busybox rm /etc/group; echo x >> /etc/passwd; "
          "busybox rm -r /keep; busybox mkdir /keep; echo 3 > /keep/three"),
      "");
  ASSERT_OK_AND_ASSIGN(const std::vector<FileChange> changes,
                       engine().Diff("a"));
  std::vector<std::string> lines;
  for (const FileChange& c : changes) {
    lines.push_back(absl::StrCat(c.kind == FileChange::Kind::kAdded     ? "A "
                                 : c.kind == FileChange::Kind::kChanged ? "C "
                                                                        : "D ",
                                 c.path));
  }
  for (const char* line : {"A /n", "D /etc/group", "C /etc/passwd", "C /keep",
                           "A /keep/three", "D /keep/one", "D /keep/sub"}) {
    EXPECT_THAT(lines, Contains(line));
  }
}

TEST_P(FilesTest, WhenExported_WhatIsMountedIsLeftOut) {
  ASSERT_OK(engine().Start(world_.Obedient("a")));
  std::string tar;
  ASSERT_OK(engine().Export("a", [&](absl::string_view data) {
    tar.append(data.data(), data.size());
    return absl::OkStatus();
  }));
  ASSERT_OK_AND_ASSIGN(const std::vector<std::string> entries, Entries(tar));
  EXPECT_THAT(entries, Contains(HasSubstr("bin/busybox ")));
  EXPECT_THAT(entries, Contains(HasSubstr("proc/ 0 ")));
  EXPECT_THAT(entries, Not(Contains(HasSubstr("ctl/fifo"))));
  EXPECT_THAT(entries, Not(Contains(HasSubstr("proc/1"))));
}

}  // namespace
}  // namespace bulwark::engine
