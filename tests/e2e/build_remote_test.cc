// ctl build with what others serve: archives, further contexts, closed
// registries.
#include <signal.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/e2e/closed_registry.h"
#include "tests/e2e/served.h"
#include "tests/e2e/session.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kPort = 5101;  // and the two that follow
constexpr int kClosedPort = 5104;
constexpr int kOddPort = 5105;

class BuildRemoteTest : public Suite {
 protected:
  static void SetUpTestSuite() {
    Open("e2ebremote");
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

  static std::unique_ptr<Served> served_;
};

std::unique_ptr<Served> BuildRemoteTest::served_;

TEST_F(BuildRemoteTest, WhenAServerLiesOrHangs_TheBuildEnds) {
  // Says that much follows, and sends nothing, or rubbish without end.
  const std::string server =
      "import socket, sys, threading, time\n"
      "s = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
      "print('listens', flush=True)\n"
      "def serve(c):\n"
      "  try:\n"
      "    head = c.recv(4096)\n"
      "    print('asked for', head, flush=True)\n"
      "    if b'lie' in head:\n"
      "      while True: c.sendall(b'ffff' + b'x' * 65531)\n"
      "    if b'short' in head:\n"
      "      c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: "
      "100\\r\\n\\r\\nx')\n"
      "      return c.close()\n"
      "    time.sleep(1000)\n"
      "  except OSError: pass\n"
      "while True:\n"
      "  c, _ = s.accept()\n"
      "  threading.Thread(target=serve, args=(c,), daemon=True).start()\n";
  const std::string log = world().Path("odd.log");
  const Background odd({"python3", "-c", server, absl::StrCat(kOddPort)}, log);
  const auto says = [&log](const std::string& text) {
    return absl::StrContains(ReadFile(log), text);
  };
  const std::string host = absl::StrCat("127.0.0.1:", kOddPort);
  ASSERT_TRUE(Eventually([&] { return says("listens"); })) << ReadFile(log);
  EXPECT_THAT(Fails("git://" + host + "/lie"), HasSubstr(host + "/lie"));
  EXPECT_THAT(Fails("http://" + host + "/short"), HasSubstr(host + "/short"));
  for (const auto& [scheme, asked] :
       {std::pair("git://", "git-upload-pack /hang"),
        std::pair("http://", "GET /hang")}) {
    SCOPED_TRACE(scheme);
    Session build(
        world(), {"build", "-t", "app:1", absl::StrCat(scheme, host, "/hang")});
    EXPECT_TRUE(Eventually([&, text = asked] { return says(text); }))
        << ReadFile(log);
    build.Signal(SIGINT);
    EXPECT_NE(build.Wait(), -1);
    EXPECT_TRUE(Eventually(
        [] { return fs::is_empty(world().Path("s/images/ingest")); }));
  }
}

TEST_F(BuildRemoteTest, WhenTheContextIsAnArchive_ItIsUnpacked) {
  const std::string files = served().path();
  const std::string context = Folder("FROM scratch\nCOPY file /\n");
  WriteFile(context + "/file", "of the archive\n");
  ASSERT_TRUE(
      e2e::Run({"tar", "-C", context, "-czf", files + "/c.tar.gz", "."}).ok());
  ASSERT_TRUE(
      e2e::Run({"tar", "-C", context, "-cf", files + "/c.tar", "."}).ok());
  EXPECT_EQ(ReadFile(Built({served().Http("c.tar.gz")}) + "/file"),
            "of the archive\n");
  EXPECT_EQ(ReadFile(Built({"-"}, ReadFile(files + "/c.tar")) + "/file"),
            "of the archive\n");
  EXPECT_EQ(ReadFile(Built({"-"}, ReadFile(files + "/c.tar.gz")) + "/file"),
            "of the archive\n");
  // A Dockerfile alone, from standard input and from a server.
  const std::string alone = "FROM scratch\nCOPY <<EOF /made\nalone\nEOF\n";
  EXPECT_EQ(ReadFile(Built({"-"}, alone) + "/made"), "alone\n");
  EXPECT_EQ(ReadFile(Built({"-f", "-", context}, alone) + "/made"), "alone\n");
  WriteFile(files + "/Dockerfile", alone);
  EXPECT_EQ(ReadFile(Built({served().Http("Dockerfile")}) + "/made"),
            "alone\n");
  EXPECT_THAT(Fails(served().Http("nothing")), HasSubstr("answers 404"));
}

TEST_F(BuildRemoteTest, WhenContextsAreNamed_FilesComeFromEach) {
  const std::string files = served().path();
  const std::string extra = Folder("");
  WriteFile(extra + "/file", "folder\n");
  ASSERT_TRUE(
      e2e::Run({"tar", "-C", extra, "-cf", files + "/extra.tar", "."}).ok());
  const std::string context = Folder(
      "FROM base\n"
      "COPY --from=folder file /folder\nCOPY --from=archive file /archive\n"
      "COPY --from=repository version /repository\n"
      "COPY --from=picture /bin/busybox /picture\n");
  const std::string out =
      Built({"--build-context", "base=docker-image://" + busybox(),
             "--build-context", "folder=" + extra, "--build-context",
             "archive=" + served().Http("extra.tar"), "--build-context",
             "repository=" + served().Url("app#v1"), "--build-context",
             "picture=docker-image://" + busybox(), context});
  EXPECT_EQ(ReadFile(out + "/folder"), "folder\n");
  EXPECT_EQ(ReadFile(out + "/archive"), "folder\n");
  EXPECT_EQ(ReadFile(out + "/repository"), "one\n");
  EXPECT_GT(fs::file_size(out + "/picture"), 100'000u);
  const std::string layout = world().Path("layout");
  ASSERT_TRUE(e2e::Run({"skopeo", "copy", "--quiet", "--src-tls-verify=false",
                        "docker://" + busybox(), "oci:" + layout + ":tagged"})
                  .ok());
  const std::string from_layout = Folder(
      "FROM base\nRUN echo above > /above\n"
      "COPY --from=base /bin/busybox /copied\n");
  for (const char* which : {"", ":tagged"}) {
    const std::string made =
        Built({"--build-context", "base=oci-layout://" + layout + which,
               from_layout});
    EXPECT_EQ(ReadFile(made + "/above"), "above\n");
    EXPECT_GT(fs::file_size(made + "/copied"), 100'000u);
  }
  EXPECT_THAT(CtlFails({"build", "--build-context",
                        "base=oci-layout://" + layout + ":none", from_layout})
                  .err,
              AllOf(HasSubstr("context base"), HasSubstr("\"none\""),
                    HasSubstr("it has tagged")));
  EXPECT_THAT(CtlFails({"build", "--build-context",
                        "base=oci-layout://" + context, from_layout})
                  .err,
              HasSubstr("index.json"));
  EXPECT_THAT(
      CtlFails({"build", "--build-context", "base=/no/such", context}).err,
      HasSubstr("/no/such"));
  EXPECT_THAT(CtlFails({"build", "--build-context",
                        "base=" + served().Url("app"), context})
                  .err,
              HasSubstr("is not an image, and so no base"));
}

TEST_F(BuildRemoteTest, WhenTheRegistryIsClosed_DockersCredentialsOpenIt) {
  const ClosedRegistry closed(world(), kClosedPort);
  const std::string base = closed.Here(world().PushBusybox("closed"));
  const std::string target = closed.address() + "/built/app:1";
  const std::string context =
      Folder("ARG BASE\nFROM " + base + "\nRUN echo made > /made\n");
  const std::string config = world().Path("docker");
  fs::create_directories(config);
  EXPECT_THAT(Fails(context), HasSubstr("wants a user and password"));
  WriteFile(
      config + "/config.json",
      absl::StrCat("{\"auths\":{\"", closed.address(), "\":{\"auth\":\"",
                   absl::Base64Escape(absl::StrCat(ClosedRegistry::kUser, ":",
                                                   ClosedRegistry::kPassword)),
                   "\"}}}"));
  std::vector<std::string> command = {"env", "DOCKER_CONFIG=" + config};
  for (const std::string& word :
       CtlCommand(world(), {"build", "--push", "-t", target, context})) {
    command.push_back(word);
  }
  const Result pushed = e2e::Run(command);
  ASSERT_TRUE(pushed.ok()) << pushed.ToString();
  const Result seen = e2e::Run({"skopeo", "inspect", "--tls-verify=false",
                                absl::StrCat("--creds=", ClosedRegistry::kUser,
                                             ":", ClosedRegistry::kPassword),
                                "docker://" + target});
  EXPECT_TRUE(seen.ok()) << seen.ToString();
  // What was sent is not kept, nor told.
  EXPECT_THAT(CtlFails({"push", target}).err,
              HasSubstr("wants a user and password"));
  const std::string audit = Ctl({"audit"}).out;
  EXPECT_THAT(audit, AllOf(HasSubstr("tags " + target),
                           Not(HasSubstr(ClosedRegistry::kPassword))));
  EXPECT_THAT(world().DaemonLog(), Not(HasSubstr(ClosedRegistry::kPassword)));
}

}  // namespace
}  // namespace bulwark::e2e
