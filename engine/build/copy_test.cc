// COPY and ADD, through whole builds.
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/build/testing/build_fixture.h"
#include "engine/image/testing/tar_builder.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class CopyTest : public testing::BuildFixture {};

TEST_F(CopyTest, WhenFilesAreCopied_ImageHoldsThem) {
  Write("app", "program", 0755);
  Write("conf/a.conf", "a");
  Write("conf/sub/b.conf", "b");
  ASSERT_OK_AND_ASSIGN(Image image, Build("FROM scratch\n"
                                          "COPY app /bin/\n"
                                          "COPY conf /etc/app\n"
                                          "CMD [\"/bin/app\"]\n"));
  EXPECT_THAT(image.references, ElementsAre("docker.io/library/app:1"));
  EXPECT_THAT(image.config.command, ElementsAre("/bin/app"));
  EXPECT_THAT(image.layers, SizeIs(2));
  EXPECT_THAT(Read(image, "bin/app"), IsOkAndHolds("program"));
  EXPECT_EQ(Stat(image, "bin/app").st_mode, S_IFREG | 0755);
  EXPECT_EQ(Stat(image, "bin").st_mode, S_IFDIR | 0755);
  EXPECT_THAT(Read(image, "etc/app/a.conf"), IsOkAndHolds("a"));
  EXPECT_THAT(Read(image, "etc/app/sub/b.conf"), IsOkAndHolds("b"));
  EXPECT_THAT(engine_.started, IsEmpty());
}

TEST_F(CopyTest, WhenDockerignore_FilesStayOut) {
  Write(".dockerignore", "*.log\nsecret\n!secret/public\n");
  Write("a.log", "x");
  Write("b", "x");
  Write("secret/key", "x");
  Write("secret/public", "x");
  ASSERT_OK_AND_ASSIGN(Image image, Build("FROM scratch\nCOPY . /src/\n"));
  EXPECT_OK(Read(image, "src/b"));
  EXPECT_OK(Read(image, "src/secret/public"));
  EXPECT_FALSE(Read(image, "src/a.log").ok());
  EXPECT_FALSE(Read(image, "src/secret/key").ok());
  EXPECT_THAT(Build("FROM scratch\nCOPY a.log /\n"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr(".dockerignore leaves it out")));
}

TEST_F(CopyTest, WhenTheContextHoldsLinksOutside_NothingOutsideIsRead) {
  ASSERT_OK(os::WriteFileDurably(dir_ / "secret", "secret"));
  Write("x", "x");
  ASSERT_EQ(symlink((dir_ / "secret").c_str(),
                    absl::StrCat(request_.context_dir, "/link").c_str()),
            0);
  ASSERT_EQ(symlink("..", absl::StrCat(request_.context_dir, "/up").c_str()),
            0);
  for (const char* source : {"link", "../secret", "up/secret", "/../secret"}) {
    EXPECT_THAT(Build(absl::StrCat("FROM scratch\nCOPY ", source, " /x\n")),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("Dockerfile:2:")))
        << source;
  }
  // A pattern matches what there is.
  ASSERT_OK_AND_ASSIGN(Image none,
                       Build("FROM scratch\nCOPY */secret /new/\n"));
  EXPECT_THAT(none.layers, IsEmpty());
  // As part of a directory it is copied as the link that it is.
  ASSERT_OK_AND_ASSIGN(Image image, Build("FROM scratch\nCOPY . /src\n"));
  EXPECT_TRUE(S_ISLNK(Stat(image, "src/link").st_mode));
}

TEST_F(CopyTest, WhenOwnersAndModesAreAskedFor_AreSet) {
  Write("passwd", "root:x:0:0::/:/\napp:x:1000:1001::/:/\n");
  Write("group", "web:x:33:\n");
  Write("f", "x", 0600);
  ASSERT_OK_AND_ASSIGN(Image image,
                       Build("FROM scratch\n"
                             "COPY passwd group /etc/\n"
                             "COPY --chown=app f /a\n"
                             "COPY --chown=app:web --chmod=0751 f /b\n"
                             "COPY --chown=5:6 f /c\n"
                             "COPY f /d\n"));
  EXPECT_EQ(Stat(image, "a").st_uid, 1000);
  EXPECT_EQ(Stat(image, "a").st_gid, 1001);
  EXPECT_EQ(Stat(image, "a").st_mode & 07777, 0600);
  EXPECT_EQ(Stat(image, "b").st_gid, 33);
  EXPECT_EQ(Stat(image, "b").st_mode & 07777, 0751);
  EXPECT_EQ(Stat(image, "c").st_uid, 5);
  EXPECT_EQ(Stat(image, "c").st_gid, 6);
  EXPECT_EQ(Stat(image, "d").st_uid, 0);
  EXPECT_THAT(Build("FROM scratch\nCOPY --chown=nobody f /a\n"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("unknown user \"nobody\"")));
}

TEST_F(CopyTest, WhenAPatternMatchesNothing_TheOtherSourcesAreCopied) {
  Write("package.json", "{}");
  ASSERT_OK_AND_ASSIGN(Image image,
                       Build("FROM scratch\nCOPY package.json lock* /app/\n"));
  EXPECT_OK(Read(image, "app/package.json"));
  EXPECT_THAT(Build("FROM scratch\nCOPY package.json lock /app/\n"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("\"lock\": no such file")));
}

TEST_F(CopyTest,
       WhenAllIsExcluded_TheFolderIsMadeUnlessAPatternMatchesNothing) {
  Write("f", "x");
  for (const char* copied :
       {"COPY --exclude=f f", "COPY --exclude=f f*", "ADD --exclude=f f",
        "COPY --exclude=f none* f", "COPY --exclude=f f none*"}) {
    ASSERT_OK_AND_ASSIGN(
        Image image, Build(absl::StrCat("FROM scratch\n", copied, " /new/\n")));
    ASSERT_THAT(image.layers, ::testing::SizeIs(1)) << copied;
    EXPECT_TRUE(S_ISDIR(Stat(image, "new").st_mode)) << copied;
    EXPECT_FALSE(Read(image, "new/f").ok()) << copied;
  }
  for (const char* copied :
       {"COPY none*", "COPY --exclude=f none*", "COPY none* [x]none"}) {
    ASSERT_OK_AND_ASSIGN(
        Image image, Build(absl::StrCat("FROM scratch\n", copied, " /new/\n")));
    EXPECT_THAT(image.layers, IsEmpty()) << copied;
  }
}

TEST_F(CopyTest, WhenFoldersAreMadeOnTheWay_BelongToWhomTheRestDoes) {
  Write("passwd", "root:x:0:0::/:/\napp:x:1000:1001::/:/\n");
  Write("f", "x");
  ASSERT_OK_AND_ASSIGN(Image image, Build("FROM scratch\n"
                                          "COPY passwd /etc/\n"
                                          "COPY --chown=1000 f /etc/number\n"
                                          "COPY --chown=:33 f /etc/group\n"
                                          "COPY --chown=5:6 f /new/deep/f\n"
                                          "USER app\n"
                                          "COPY f /plain/f\n"
                                          "WORKDIR /home/work\n"
                                          "WORKDIR /etc\n"
                                          "USER 7\n"
                                          "WORKDIR /home/seven\n"));
  const auto owner = [&](const char* path) {
    const struct stat st = Stat(image, path);
    return absl::StrCat(st.st_uid, ":", st.st_gid);
  };
  // A number is one, whoever has it.
  EXPECT_EQ(owner("etc/number"), "1000:1000");
  EXPECT_EQ(owner("etc/group"), "0:33");
  EXPECT_EQ(owner("new"), "5:6");
  EXPECT_EQ(owner("new/deep"), "5:6");
  EXPECT_EQ(owner("plain"), "0:0");
  EXPECT_EQ(owner("home"), "1000:1001");
  EXPECT_EQ(owner("home/work"), "1000:1001");
  EXPECT_EQ(owner("home/seven"), "7:7");
  EXPECT_EQ(owner("etc"), "0:0");
  EXPECT_THAT(Build("FROM scratch\nUSER nobody\nWORKDIR /w\n"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("unknown user \"nobody\"")));
}

TEST_F(CopyTest, WhenDestinationGoesThroughALinkOfTheImage_LandsBehindIt) {
  Write("rootfs/usr/lib/x", "x");
  ASSERT_EQ(symlink("usr/lib",
                    absl::StrCat(request_.context_dir, "/rootfs/lib").c_str()),
            0);
  Write("more/lib/y", "y");
  ASSERT_OK_AND_ASSIGN(Image image, Build("FROM scratch\n"
                                          "COPY rootfs /\n"
                                          "COPY more /\n"
                                          "COPY more/lib/y /lib/z\n"));
  EXPECT_THAT(Read(image, "usr/lib/y"), IsOkAndHolds("y"));
  EXPECT_THAT(Read(image, "usr/lib/z"), IsOkAndHolds("y"));
  EXPECT_TRUE(S_ISLNK(Stat(image, "lib").st_mode));
}

TEST_F(CopyTest, WhenDirectoriesExistBelow_KeepTheirAttributes) {
  Write("rootfs/tmp/x", "x");
  ASSERT_EQ(
      chmod(absl::StrCat(request_.context_dir, "/rootfs/tmp").c_str(), 01777),
      0);
  Write("f", "x");
  ASSERT_OK_AND_ASSIGN(Image image,
                       Build("FROM scratch\nCOPY rootfs /\nCOPY f /tmp/\n"));
  struct stat st;
  ASSERT_EQ(stat((image.layers[1] + "/tmp").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 01777);
}

TEST_F(CopyTest, WhenArchivesAreAdded_AreUnpacked) {
  using image::testing::Gzip;
  using image::testing::TarBuilder;
  std::string tar = TarBuilder()
                        .Dir("opt/app", {0750, 7, 8})
                        .File("opt/app/bin", "x", {0755, 7, 8})
                        .Build();
  Write("app.tar.gz", Gzip(tar));
  Write("data.gz", Gzip("not an archive"));
  ASSERT_OK_AND_ASSIGN(Image image, Build("FROM scratch\n"
                                          "ADD app.tar.gz /\n"
                                          "ADD data.gz /data/\n"
                                          "COPY app.tar.gz /kept/\n"));
  EXPECT_THAT(Read(image, "opt/app/bin"), IsOkAndHolds("x"));
  EXPECT_EQ(Stat(image, "opt/app/bin").st_uid, 7);
  EXPECT_EQ(Stat(image, "opt/app").st_mode & 07777, 0750);
  EXPECT_THAT(Read(image, "data/data.gz"),
              IsOkAndHolds(Gzip("not an archive")));
  EXPECT_THAT(Read(image, "kept/app.tar.gz"), IsOkAndHolds(Gzip(tar)));
  Write("evil.tar", TarBuilder().File("../../evil", "x").Build());
  EXPECT_THAT(Build("FROM scratch\nADD evil.tar /\n"),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(CopyTest, WhenHeredocs_BecomeFilesAndScripts) {
  ASSERT_OK_AND_ASSIGN(Image image, Build("FROM scratch\n"
                                          "ENV A=1\n"
                                          "COPY <<one <<\"two\" /d/\n"
                                          "a=$A\n"
                                          "one\n"
                                          "a=$A\n"
                                          "two\n"
                                          "RUN <<EOF\n"
                                          "echo $A\n"
                                          "EOF\n"));
  EXPECT_THAT(Read(image, "d/one"), IsOkAndHolds("a=1\n"));
  EXPECT_THAT(Read(image, "d/two"), IsOkAndHolds("a=$A\n"));
  ASSERT_THAT(engine_.started, SizeIs(1));
  EXPECT_THAT(engine_.started[0].args,
              ElementsAre("/bin/sh", "-c", "echo $A\n"));
}

}  // namespace
}  // namespace bulwark::engine
