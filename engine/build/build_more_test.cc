// What builds take, in which order they work, and what becomes of the result.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "base/testing/status_matchers.h"
#include "engine/build/remote_source.h"
#include "engine/build/testing/build_fixture.h"
#include "engine/image/digest.h"
#include "engine/registry/testing/http_server.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using testing::Effect;

class BuildMoreTest : public testing::BuildFixture {};

TEST_F(BuildMoreTest, WhenCopyingWithFlags_TheRightFilesArrive) {
  Write("a/b/one.txt", "1");
  Write("a/b/two.md", "2");
  Write("a/deep/er/three.txt", "3", 0600);
  ASSERT_OK_AND_ASSIGN(
      Image image,
      Build("FROM scratch\n"
            "COPY --parents a/b/one.txt a/./deep/er/*.txt /p/\n"
            "COPY --exclude=**/*.md a /x/\n"
            "COPY --parents **/three.txt /every/\n"
            "COPY --chmod=u=rwX,go=rX a/deep/er /m/\n"));
  EXPECT_THAT(Read(image, "p/a/b/one.txt"), IsOkAndHolds("1"));
  EXPECT_THAT(Read(image, "p/deep/er/three.txt"), IsOkAndHolds("3"));
  EXPECT_THAT(Read(image, "x/b/one.txt"), IsOkAndHolds("1"));
  EXPECT_FALSE(Read(image, "x/b/two.md").ok());
  EXPECT_THAT(Read(image, "every/a/deep/er/three.txt"), IsOkAndHolds("3"));
  EXPECT_EQ(Stat(image, "m/three.txt").st_mode & 07777, 0644u);
}

TEST_F(BuildMoreTest, WhenLinked_TheLayerDoesNotDependOnThoseBelow) {
  Write("a", "a");
  Write("b", "1");
  const std::string file = "FROM scratch\nCOPY b /b\nCOPY --link a /d/\n";
  ASSERT_OK_AND_ASSIGN(Image first, Build(file));
  Write("b", "2");
  ASSERT_OK_AND_ASSIGN(Image second, Build(file));
  EXPECT_EQ(CachedSteps(), 1);
  EXPECT_EQ(second.layers[1], first.layers[1]);
  EXPECT_NE(second.layers[0], first.layers[0]);
}

TEST_F(BuildMoreTest, WhenFilesHaveMoreThanContent_ItIsKept) {
  engine_.script = [](const ContainerSpec& spec) {
    const std::string& upper = spec.upper_dir;
    EXPECT_OK(os::MakeDirs(upper + "/d", 0755));
    EXPECT_OK(os::WriteFileDurably(upper + "/d/f", "x"));
    EXPECT_EQ(link((upper + "/d/f").c_str(), (upper + "/d/g").c_str()), 0);
    EXPECT_EQ(setxattr((upper + "/d/f").c_str(), "user.note", "v", 1, 0), 0);
    EXPECT_EQ(mkfifo((upper + "/d/pipe").c_str(), 0640), 0);
    EXPECT_EQ(symlink("/etc/passwd", (upper + "/d/link").c_str()), 0);
    return Effect();
  };
  ASSERT_OK_AND_ASSIGN(Image image,
                       Build("FROM scratch AS a\nRUN make\n"
                             "FROM scratch\nCOPY --from=a /d /d\n"));
  EXPECT_EQ(Stat(image, "d/f").st_ino, Stat(image, "d/g").st_ino);
  EXPECT_TRUE(S_ISFIFO(Stat(image, "d/pipe").st_mode));
  EXPECT_TRUE(S_ISLNK(Stat(image, "d/link").st_mode));
  char value[8];
  EXPECT_EQ(getxattr((image.layers[0] + "/d/g").c_str(), "user.note", value,
                     sizeof(value)),
            1);
}

TEST_F(BuildMoreTest, WhenStagesAreIndependent_TheyRunSideBySide) {
  absl::Notification left;
  absl::Notification right;
  engine_.script = [&](const ContainerSpec& spec) {
    const bool is_left = spec.args.back() == "left";
    (is_left ? left : right).Notify();
    // Only if both run at once.
    const bool met = (is_left ? right : left)
                         .WaitForNotificationWithTimeout(absl::Seconds(30));
    EXPECT_OK(os::WriteFileDurably(
        absl::StrCat(spec.upper_dir, "/", spec.args.back()), "x"));
    return Effect{met ? 0 : 1, ""};
  };
  ASSERT_OK_AND_ASSIGN(Image image,
                       Build("FROM scratch AS l\nRUN [\"left\"]\n"
                             "FROM scratch AS r\nRUN [\"right\"]\n"
                             "FROM scratch AS unused\nRUN [\"never\"]\n"
                             "FROM scratch\n"
                             "COPY --from=l /left /\n"
                             "COPY --from=r /right /\n"));
  EXPECT_THAT(engine_.started, SizeIs(2));
  EXPECT_THAT(image.layers, SizeIs(2));
  bool named = false;
  for (const Progress& p : progress_) named = named || p.stage == "r";
  EXPECT_TRUE(named);
}

TEST_F(BuildMoreTest, WhenOneStageFails_TheOthersEnd) {
  engine_.script = [&](const ContainerSpec& spec) {
    // Runs until it is killed.
    if (spec.args.back() == "long") return Effect{-1, "begun"};
    return Effect{3, ""};
  };
  EXPECT_THAT(Build("FROM scratch AS l\nRUN [\"long\"]\n"
                    "FROM scratch AS r\nRUN [\"fails\"]\n"
                    "FROM scratch\n"
                    "COPY --from=l / /\nCOPY --from=r / /\n"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("Dockerfile:4"),
                             HasSubstr("exit status 3"))));
}

TEST_F(BuildMoreTest, WhenTheTimeIsGiven_TwoStoresMakeTheSameImage) {
  Write("a", "a");
  request_.args["SOURCE_DATE_EPOCH"] = "1700000000";
  engine_.script = [](const ContainerSpec& spec) {
    EXPECT_OK(os::WriteFileDurably(spec.upper_dir + "/out", "x"));
    return Effect();
  };
  const std::string file =
      "FROM scratch\nCOPY a /a\nWORKDIR /w\nRUN make\nCMD [\"/a\"]\n";
  ASSERT_OK_AND_ASSIGN(Image first, Build(file));
  EXPECT_EQ(first.create_time, absl::FromUnixSeconds(1700000000));
  LocalImagesConfig config;
  config.state_dir = dir_ / "other";
  config.clock = &clock_;
  config.entropy = &entropy_;
  config.engine = &engine_;
  ASSERT_OK_AND_ASSIGN(images_, LocalImages::Open(config));
  ASSERT_OK_AND_ASSIGN(Image second, Build(file));
  EXPECT_EQ(CachedSteps(), 0);
  EXPECT_EQ(second.digest, first.digest);
}

TEST_F(BuildMoreTest, WhenZstdIsAskedFor_NewLayersAreSo) {
  Write("a", std::string(100'000, 'a'));
  request_.zstd = true;
  ASSERT_OK_AND_ASSIGN(Image image, Build("FROM scratch\nCOPY a /a\n"));
  auto manifest = os::ReadFile(
      absl::StrCat(dir_ / "state/blobs/sha256/", image::HexOf(image.digest)),
      1 << 20);
  EXPECT_THAT(manifest, IsOkAndHolds(HasSubstr("layer.v1.tar+zstd")));
  ASSERT_OK(Build("FROM scratch\nCOPY a /a\n"));
  EXPECT_EQ(CachedSteps(), 1);
  request_.zstd = false;
  ASSERT_OK(Build("FROM scratch\nCOPY a /a\n"));
  EXPECT_EQ(CachedSteps(), 0);
}

TEST_F(BuildMoreTest, WhenFilesAreWanted_ATarOfTheStageComes) {
  Write("a", "content");
  UniqueFd out(memfd_create("out", MFD_CLOEXEC));
  request_.output = BuildRequest::Output::kFiles;
  request_.output_fd = out.get();
  ASSERT_OK_AND_ASSIGN(Image image, Build("FROM scratch\nCOPY a /d/a\n"));
  EXPECT_EQ(image.digest, "");
  EXPECT_THAT(images_->List(), IsEmpty());
  ASSERT_OK_AND_ASSIGN(std::string tar, os::ReadFd(out.get(), "tar", 1 << 20));
  EXPECT_THAT(tar, AllOf(HasSubstr("d/a"), HasSubstr("content")));
}

TEST_F(BuildMoreTest, WhenLabelsAndStagesAreGiven_TheyCount) {
  request_.labels = {{"a", "over"}, {"b", "new"}};
  engine_.script = [](const ContainerSpec&) { return Effect(); };
  const std::string file =
      "FROM scratch AS x\nLABEL a=1\nRUN [\"one\"]\n"
      "FROM x\nRUN [\"two\"]\n";
  ASSERT_OK_AND_ASSIGN(Image image, Build(file));
  EXPECT_EQ(image.config.labels.at("a"), "over");
  EXPECT_EQ(image.config.labels.at("b"), "new");
  EXPECT_THAT(engine_.started, SizeIs(2));
  request_.no_cache_stages = {"x"};
  ASSERT_OK(Build(file));
  EXPECT_THAT(engine_.started, SizeIs(3));
  EXPECT_EQ(engine_.started[2].args.back(), "one");
}

TEST_F(BuildMoreTest, WhenContextsAreNamed_FilesComeFromThem) {
  ASSERT_OK(os::MakeDirs(dir_ / "assets", 0755));
  ASSERT_OK(os::WriteFileDurably(dir_ / "assets/logo", "png"));
  request_.contexts = {{"assets", dir_ / "assets"}};
  ASSERT_OK_AND_ASSIGN(
      Image image, Build("FROM scratch\nCOPY --from=assets logo /logo\n"));
  EXPECT_THAT(Read(image, "logo"), IsOkAndHolds("png"));
  EXPECT_THAT(Build("FROM assets\nCOPY a /a\n"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not an image")));
}

TEST_F(BuildMoreTest, WhenThePlatformIsForeign_CommandsAreRefused) {
  request_.platform = "linux/s390x";
  Write("a", "a");
  ASSERT_OK_AND_ASSIGN(Image image, Build("FROM scratch\nCOPY a /\n"));
  EXPECT_EQ(image.platform, "linux/s390x");
  EXPECT_THAT(Build("FROM scratch\nRUN x\n"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("cannot run programs of linux/s390x")));
}

TEST_F(BuildMoreTest, WhenAUrlIsAdded_ItIsFetchedAndChecked) {
  int served = 0;
  registry::testing::HttpServer server(
      [&served](const registry::testing::ServerRequest& request) {
        registry::testing::ServerResponse response;
        ++served;
        if (request.path == "/moved") {
          response.status = 302;
          response.headers = {"Location: /dir/file.txt?x=1"};
        } else if (request.path == "/dir/file.txt?x=1") {
          response.headers = {"Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT"};
          response.body = "hello";
        } else {
          response.status = 404;
        }
        return response;
      });
  const std::string url = "http://" + server.address();
  ASSERT_OK_AND_ASSIGN(
      Image image,
      Build(absl::StrCat("FROM scratch\nADD ", url, "/dir/file.txt?x=1 /d/\n",
                         "ADD ", url, "/moved /x\n")));
  EXPECT_THAT(Read(image, "d/file.txt"), IsOkAndHolds("hello"));
  EXPECT_THAT(Read(image, "x"), IsOkAndHolds("hello"));
  EXPECT_EQ(Stat(image, "x").st_mode & 07777, 0600u);
  EXPECT_EQ(Stat(image, "x").st_mtime, 1700000000);
  EXPECT_THAT(Build(absl::StrCat("FROM scratch\nADD ", url, "/none /x\n")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("/none"), HasSubstr("404"))));
  const std::string other = image::DigestOf("other");
  EXPECT_THAT(Build(absl::StrCat("FROM scratch\nADD --checksum=", other, " ",
                                 url, "/moved /x\n")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(other)));
  // With the right one it is not even asked for again.
  const std::string checked =
      absl::StrCat("FROM scratch\nADD --checksum=", image::DigestOf("hello"),
                   " ", url, "/moved /x\n");
  ASSERT_OK(Build(checked));
  const int before = served;
  ASSERT_OK(Build(checked));
  EXPECT_EQ(served, before);
}

TEST(RemoteSourceTest, WhenAUrl_ItsKindIsKnown) {
  EXPECT_TRUE(build::IsGitUrl("https://x.example/a.git#v1:sub"));
  EXPECT_TRUE(build::IsGitUrl("git@x.example:a.git"));
  EXPECT_TRUE(build::IsHttpUrl("https://x.example/a.tar"));
  EXPECT_FALSE(build::IsRemote("./https"));
  ASSERT_OK_AND_ASSIGN(build::GitUrl url,
                       build::ParseGitUrl("git://h/a.git#v1:/sub/../dir"));
  EXPECT_EQ(url.url, "git://h/a.git");
  EXPECT_EQ(url.reference, "v1");
  EXPECT_EQ(url.directory, "dir");
  for (const char* text : {"git://h/a.git#--upload-pack=x", "git://h/a.git#a b",
                           "/local/a.git", "git://h/a.git#a..b*"}) {
    EXPECT_FALSE(build::ParseGitUrl(text).ok()) << text;
  }
}

TEST(RemoteSourceTest, WhenAHostIsNone_TheUrlIsRefused) {
  for (const char* text :
       {"https://u:p@x.helper=!touch /x;/a.git", "https://x.helper=!id;.git",
        "https://a b/a.git", "https://x\n/a.git", "http:///a.git",
        "https://u@/a.git", "git://$(id)/a", "ssh://-oProxyCommand=id/a",
        "ssh://u@-oProxyCommand/a", "git@-oProxyCommand:a", "git@a/b:c",
        "git@:a", "git@[::1;]:a", "https://x%0a.example/a.git",
        "https://b\xc3\xbc.example/a.git"}) {
    EXPECT_THAT(build::ParseGitUrl(text),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("the host of a git URL")))
        << text;
  }
  // Part of a password may stand where the host should be.
  EXPECT_THAT(build::ParseGitUrl("https://u:secret$x/1@h.example/a.git")
                  .status()
                  .ToString(),
              Not(HasSubstr("secret")));
  for (const char* text :
       {"https://u:p%23w!;=@x_y.example:8443/a.git", "http://[::1]:80/a.git",
        "ssh://git@h-1.example:22/a", "git@h.example:a/b.git", "git@[::1]:a",
        "git://H.example/a?b=!c"}) {
    EXPECT_OK(build::ParseGitUrl(text)) << text;
  }
}

}  // namespace
}  // namespace bulwark::engine
