// ctl build with repositories that others serve.
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/e2e/served.h"
#include "tests/e2e/session.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kPort = 5111;

class BuildGitTest : public Suite {
 protected:
  static void SetUpTestSuite() {
    Open("e2ebgit");
    served_ = std::make_unique<Served>(world(), kPort);
  }
  static void TearDownTestSuite() {
    served_.reset();
    Close();
  }
  void TearDown() override {
    EXPECT_TRUE(fs::is_empty(world().Path("s/images/ingest")));
  }
  static const Served& served() { return *served_; }

  // Builds, and gives the image's files.
  static std::string Built(const std::vector<std::string>& arguments,
                           const std::string& input = "") {
    const std::string out = world().Path("out");
    fs::remove_all(out);
    std::vector<std::string> command = {"build", "-q", "-o", out};
    command.insert(command.end(), arguments.begin(), arguments.end());
    Ctl(command, input);
    return out;
  }
  static std::string Fails(const std::string& context) {
    return CtlFails({"build", "-t", "app:1", context}).err;
  }
  static std::string Folder(const std::string& dockerfile) {
    static int count = 0;
    const std::string folder = world().Path(absl::StrCat("folder", ++count));
    fs::create_directories(folder);
    WriteFile(folder + "/Dockerfile", dockerfile);
    return folder;
  }

  // The command lines of git's processes that hold `text`.
  static std::vector<std::string> GitWith(const std::string& text) {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator("/proc")) {
      std::string line = ReadFile(entry.path() / "cmdline");
      std::replace(line.begin(), line.end(), '\0', ' ');
      if (absl::StartsWith(ReadFile(entry.path() / "comm"), "git") &&
          absl::StrContains(line, text)) {
        found.push_back(line);
      }
    }
    return found;
  }

  static std::unique_ptr<Served> served_;
};

std::unique_ptr<Served> BuildGitTest::served_;

TEST_F(BuildGitTest, WhenTheContextIsARepository_ItsReferenceIsBuilt) {
  const std::string out = Built({served().Url("app")});
  EXPECT_EQ(ReadFile(out + "/version"), "three\n");
  EXPECT_EQ(ReadFile(out + "/lib/lib.txt"), "library\n");
  EXPECT_FALSE(fs::exists(out + "/.git"));
  EXPECT_FALSE(fs::exists(out + "/lib/.git"));
  EXPECT_EQ(ReadFile(Built({served().Url("app#next")}) + "/version"), "two\n");
  EXPECT_EQ(ReadFile(Built({served().Url("app#v1")}) + "/version"), "one\n");
  EXPECT_EQ(
      ReadFile(Built({served().Url("app#" + served().First())}) + "/version"),
      "one\n");
  EXPECT_EQ(
      ReadFile(Built({served().Url("app#" + served().First().substr(0, 10))}) +
               "/version"),
      "one\n");
  EXPECT_EQ(ReadFile(Built({served().Url("app#v1:sub")}) + "/deep/file"),
            "deep\n");
  EXPECT_EQ(ReadFile(Built({served().Url("app#:in")}) + "/deep/file"),
            "deep\n");
}

TEST_F(BuildGitTest, WhenARepositoryHasNoSuchThing_SaysWhat) {
  EXPECT_THAT(Fails(served().Url("app#no-such-branch")),
              HasSubstr("no-such-branch"));
  EXPECT_THAT(Fails(served().Url("none")), HasSubstr("/none"));
  EXPECT_THAT(Fails(served().Url("app#main:absent")),
              HasSubstr("there is no directory absent"));
  EXPECT_THAT(Fails(served().Url("app#v1:out")),
              HasSubstr("there is no directory out"));
  EXPECT_THAT(Fails(served().Url("app#--upload-pack=x")),
              HasSubstr("no name of a branch, tag or commit"));
  EXPECT_THAT(Fails("git://127.0.0.1:1/app"), HasSubstr("127.0.0.1"));
  EXPECT_THAT(
      CtlFails({"build", "-f", "Other", "-t", "x", served().Url("app")}).err,
      HasSubstr("there is no Other in the build context"));
}

TEST_F(BuildGitTest, WhenARepositoryComesByHttp_ItsReferenceIsBuilt) {
  const std::string app = served().Smart("open/app.git");
  const std::string out = Built({app});
  EXPECT_EQ(ReadFile(out + "/version"), "three\n");
  EXPECT_EQ(ReadFile(out + "/lib/lib.txt"), "library\n");
  EXPECT_EQ(ReadFile(Built({app + "#next"}) + "/version"), "two\n");
  EXPECT_EQ(ReadFile(Built({app + "#v1:sub"}) + "/deep/file"), "deep\n");
  EXPECT_EQ(ReadFile(Built({app + "#" + served().First()}) + "/version"),
            "one\n");
  EXPECT_EQ(ReadFile(Built({served().Smart("open/web.git")}) + "/lib/lib.txt"),
            "library\n");
  // From a server that knows nothing of git.
  EXPECT_EQ(ReadFile(Built({served().Http("old.git")}) + "/lib/lib.txt"),
            "library\n");
  EXPECT_EQ(ReadFile(Built({served().Http("old.git#next")}) + "/version"),
            "two\n");
  EXPECT_EQ(ReadFile(Built({served().Http("old.git#" + served().First())}) +
                     "/version"),
            "one\n");
  EXPECT_THAT(Fails(app + "#no-such-branch"), HasSubstr("no-such-branch"));
  EXPECT_THAT(Fails(app + "#next:absent"),
              HasSubstr("there is no directory absent"));
  EXPECT_THAT(Fails(served().Smart("open/none.git")),
              AllOf(HasSubstr("open/none.git"), HasSubstr("not found")));
}

TEST_F(BuildGitTest, WhenARepositoryIsClosed_APasswordOrTokenOpensIt) {
  const std::string closed = "closed/web.git";
  const std::string known =
      absl::StrCat(Served::kUser, ":", Served::kPassword, "@");
  EXPECT_THAT(Fails(served().Smart(closed)),
              AllOf(HasSubstr("wants a user and password"),
                    HasSubstr("--secret id=GIT_AUTH_TOKEN")));
  EXPECT_THAT(Fails(served().Smart(closed, "reader:wrong-one@")),
              AllOf(HasSubstr("does not accept the user and password"),
                    Not(HasSubstr("wrong-one"))));
  EXPECT_THAT(Fails(served().Smart(closed + "#:absent", known)),
              AllOf(HasSubstr("no directory absent"),
                    Not(HasSubstr(Served::kPassword))));
  EXPECT_EQ(ReadFile(Built({served().Smart(closed, known)}) + "/lib/lib.txt"),
            "library\n");
  EXPECT_EQ(ReadFile(Built({served().Smart(closed,
                                           "reader:git%2dpassword-5b0e77@")}) +
                     "/lib/lib.txt"),
            "library\n");
  const std::string token = world().Path("token");
  WriteFile(token, absl::StrCat(Served::kPassword, "\n"));
  const auto with = [&token](const std::string& id,
                             const std::string& context) {
    return std::vector<std::string>{
        "--secret", absl::StrCat("id=", id, ",src=", token), context};
  };
  EXPECT_EQ(ReadFile(Built(with("GIT_AUTH_TOKEN", served().Smart(closed))) +
                     "/lib/lib.txt"),
            "library\n");
  const std::string host = served().SmartHost();
  const std::string adds = Folder("FROM scratch\nADD --keep-git-dir=true " +
                                  served().Smart(closed) + " /web\n");
  const std::string out = Built(with("GIT_AUTH_TOKEN." + host, adds));
  EXPECT_EQ(ReadFile(out + "/web/lib/lib.txt"), "library\n");
  EXPECT_THAT(ReadFile(out + "/web/.git/config"), HasSubstr(host));
  const Result kept = e2e::Run({"grep", "-r", Served::kPassword, out});
  EXPECT_EQ(kept.code, 1) << kept.ToString();
  std::vector<std::string> other = with("GIT_AUTH_TOKEN.other.example", adds);
  other.insert(other.begin(), "build");
  EXPECT_THAT(CtlFails(other).err, HasSubstr("wants a user and password"));
  EXPECT_THAT(Ctl({"audit"}).out, Not(HasSubstr(Served::kPassword)));
  EXPECT_THAT(world().DaemonLog(), Not(HasSubstr(Served::kPassword)));
}

TEST_F(BuildGitTest, WhenATokenWouldBeReadable_ItIsNotSent) {
  const std::string token = world().Path("token");
  WriteFile(token, absl::StrCat(Served::kPassword, "\n"));
  // Reaches the same server, and is no address of loopback.
  std::string url = served().Smart("closed/web.git");
  const std::string host = served().SmartHost();
  const std::string other =
      absl::StrReplaceAll(host, {{"127.0.0.1", "0.0.0.0"}});
  absl::StrReplaceAll({{host, other}}, &url);
  const auto with = [&](const std::string& id) {
    return std::vector<std::string>{
        "--secret", absl::StrCat("id=", id, ",src=", token), url};
  };
  std::vector<std::string> command = with("GIT_AUTH_TOKEN");
  command.insert(command.begin(), "build");
  EXPECT_THAT(
      CtlFails(command).err,
      AllOf(HasSubstr("GIT_AUTH_TOKEN was not sent"), HasSubstr("use https"),
            HasSubstr("id=GIT_AUTH_TOKEN.HOST")));
  EXPECT_EQ(ReadFile(Built(with("GIT_AUTH_TOKEN." + other)) + "/lib/lib.txt"),
            "library\n");
}

TEST_F(BuildGitTest, WhenAHostIsNone_NothingIsRun) {
  const std::string made = world().Path("made");
  EXPECT_THAT(Fails("https://u:p@x.helper=!touch " + made + ";.git"),
              HasSubstr("the host of a git URL"));
  EXPECT_THAT(
      Fails("http://u:p@127.0.0.1:1.helper=!touch$IFS" + made + ";=/a.git"),
      HasSubstr("the host of a git URL"));
  EXPECT_FALSE(fs::exists(made));
}

TEST_F(BuildGitTest, WhenAGitServerHangs_NothingOfItIsLeft) {
  const std::string known =
      absl::StrCat(Served::kUser, ":", Served::kPassword, "@");
  for (const char* path : {"hang/app.git", "stall/app.git"}) {
    SCOPED_TRACE(path);
    Session build(world(),
                  {"build", "-t", "app:1", served().Smart(path, known)});
    // Git, and what it has for this protocol.
    EXPECT_TRUE(Eventually([&] { return GitWith(path).size() >= 2; }));
    EXPECT_THAT(GitWith(Served::kPassword), ::testing::IsEmpty());
    build.Signal(SIGINT);
    EXPECT_NE(build.Wait(), -1);
    EXPECT_TRUE(Eventually([&] { return GitWith(path).empty(); }));
    EXPECT_TRUE(Eventually(
        [] { return fs::is_empty(world().Path("s/images/ingest")); }));
  }
}

TEST_F(BuildGitTest, WhenARepositoryIsAdded_TheCommitIsChecked) {
  const auto add = [](const std::string& flags, const std::string& reference) {
    return Folder(absl::StrCat("FROM scratch\nADD ", flags, " ",
                               served().Url("app#" + reference), " /app\n"));
  };
  const std::string out = Built({add("--checksum=" + served().First(), "v1")});
  EXPECT_EQ(ReadFile(out + "/app/version"), "one\n");
  EXPECT_FALSE(fs::exists(out + "/app/.git"));
  EXPECT_TRUE(
      fs::exists(Built({add("--keep-git-dir=true", "v1")}) + "/app/.git"));
  EXPECT_THAT(Fails(add("--checksum=" + served().First(), "next")),
              AllOf(HasSubstr("Dockerfile:2"), HasSubstr(served().First()),
                    HasSubstr("its commit is")));
  // A branch that moves is another step; one that does not is the same.
  const std::string context = add("", "moving");
  const std::string move =
      "cd $0/app && export HOME=$0 && git checkout -qB moving v1 && echo $1 > "
      "version && git commit -qam $1 && git checkout -q main";
  for (const char* content : {"first", "second"}) {
    ASSERT_TRUE(e2e::Run({"sh", "-c", move, served().path(), content}).ok());
    EXPECT_EQ(ReadFile(Built({context}) + "/app/version"),
              absl::StrCat(content, "\n"));
    EXPECT_THAT(Ctl({"build", "--progress=plain", "-t", "app:1", context}).err,
                HasSubstr("CACHED"));
  }
}

}  // namespace
}  // namespace bulwark::e2e
