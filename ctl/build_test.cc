// ctl build: what is sent, and what becomes of what comes back.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ctl/errors.h"
#include "ctl/offer.h"
#include "ctl/testing/fixture.h"

namespace bulwark::ctl::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

class CtlBuildTest : public CtlTest {
 protected:
  CtlBuildTest() {
    mkdir((dir_ / "context").c_str(), 0755);
    context_ = dir_ / "context";
    File("context/Dockerfile", "FROM scratch\n");
  }
  static std::string ReadAll(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }
  std::string context_;
};

TEST_F(CtlBuildTest, WhenFilesAreIgnored_TheyAreNotSent) {
  mkdir((context_ + "/node_modules").c_str(), 0755);
  File("context/node_modules/huge", "HUGE-CONTENT");
  File("context/node_modules/keep", "KEPT-CONTENT");
  File("context/a.txt", "A-CONTENT");
  File("context/.dockerignore",
       "node_modules\n!node_modules/keep\nDockerfile\n");
  EXPECT_EQ(Ctl({"build", context_}), kExitOk) << err_;
  EXPECT_THAT(server_.uploaded(),
              AllOf(HasSubstr("A-CONTENT"), HasSubstr("KEPT-CONTENT"),
                    HasSubstr("FROM scratch"), Not(HasSubstr("HUGE-CONTENT")),
                    Not(HasSubstr("node_modules/huge"))));
}

TEST_F(CtlBuildTest, WhenTheDaemonHasFiles_TheRestIsSent) {
  mkdir((context_ + "/d").c_str(), 0755);
  File("context/d/known", "KNOWN-CONTENT");
  File("context/new", "NEW-CONTENT");
  symlink("new", (context_ + "/link").c_str());
  File("context/.dockerignore", "ignored\n");
  File("context/ignored", "IGNORED-CONTENT");

  server_.set_lacks(std::set<std::string>{"new"});
  EXPECT_EQ(Ctl({"build", context_}), kExitOk) << err_;
  EXPECT_EQ(server_.last_build().remote_context(), "offered:7");
  EXPECT_THAT(
      server_.uploaded(),
      AllOf(HasSubstr("NEW-CONTENT"), HasSubstr("d/"), HasSubstr("link"),
            Not(HasSubstr("known")), Not(HasSubstr("FROM scratch"))));
  const v1::OfferContextRequest offer = server_.last_offer();
  EXPECT_THAT(offer.origin(), HasSubstr("/context\nDockerfile"));
  std::vector<std::string> paths;
  for (const v1::ContextEntry& entry : offer.entries()) {
    paths.push_back(entry.path());
    // They were made just now.
    EXPECT_EQ(entry.version(), "");
  }
  EXPECT_THAT(paths, ElementsAre(".dockerignore", "Dockerfile", "d", "d/known",
                                 "link", "new"));
  EXPECT_EQ(offer.entries(3).size_bytes(), 13);
  EXPECT_EQ(offer.entries(4).target(), "new");

  server_.set_lacks(std::set<std::string>());
  EXPECT_EQ(Ctl({"build", "--build-context", "more=" + context_, context_}),
            kExitOk)
      << err_;
  EXPECT_EQ(server_.last_build().contexts().at("more"), "offered:7");
  EXPECT_EQ(server_.uploaded(), "");

  // A daemon that takes no offers gets everything.
  server_.set_lacks(std::nullopt);
  EXPECT_EQ(Ctl({"build", context_}), kExitOk) << err_;
  EXPECT_EQ(server_.last_build().remote_context(), "");
  EXPECT_THAT(server_.uploaded(),
              AllOf(HasSubstr("KNOWN-CONTENT"), HasSubstr("NEW-CONTENT")));
}

TEST_F(CtlBuildTest, WhenAFileMayHaveChanged_ItsVersionIsAnother) {
  const std::string path = File("context/a", "12345");
  TarFolder::Listed listed = {path, "a", {}, ""};
  ASSERT_EQ(lstat(path.c_str(), &listed.info), 0);
  const absl::Time later =
      absl::TimeFromTimespec(listed.info.st_ctim) + absl::Minutes(1);
  const std::string version = EntryOf(listed, later).version();
  EXPECT_NE(version, "");
  // Another content of the same size, and the time set back.
  const timespec times[2] = {listed.info.st_atim, listed.info.st_mtim};
  while (EntryOf(listed, later).version() == version) {
    std::ofstream(path) << "54321";
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
    ASSERT_EQ(lstat(path.c_str(), &listed.info), 0);
  }
  EXPECT_EQ(listed.info.st_mtim.tv_nsec, times[1].tv_nsec);
  // Within the steps of the file system's clock it could change unseen.
  EXPECT_EQ(EntryOf(listed, absl::TimeFromTimespec(listed.info.st_ctim) +
                                absl::Seconds(2))
                .version(),
            "");
}

TEST_F(CtlBuildTest, WhenTheDockerfileComesFromElsewhere_ItsTextIsSent) {
  io_.SetInput("FROM stdin\n");
  EXPECT_EQ(Ctl({"build", "-f", "-", context_}), kExitOk) << err_;
  EXPECT_EQ(server_.last_build().dockerfile_text(), "FROM stdin\n");
  io_.SetInput("FROM only\n");
  EXPECT_EQ(Ctl({"build", "-"}), kExitOk) << err_;
  EXPECT_EQ(server_.last_build().dockerfile_text(), "FROM only\n");
  EXPECT_EQ(server_.uploaded(), "");
  io_.SetInput("\x1f\x8btar");
  EXPECT_EQ(Ctl({"build", "-"}), kExitOk) << err_;
  EXPECT_EQ(server_.uploaded(), "\x1f\x8btar");
  EXPECT_EQ(Ctl({"build", "https://example.com/a.git#v1"}), kExitOk) << err_;
  EXPECT_EQ(server_.last_build().remote_context(),
            "https://example.com/a.git#v1");
  EXPECT_EQ(Ctl({"build", "-f", "-", "-"}), kExitUsage);
  const std::string empty = dir_ / "Nothing";
  std::ofstream(empty).flush();
  EXPECT_EQ(Ctl({"build", "-f", empty, context_}), kExitError);
  EXPECT_THAT(err_, HasSubstr("Nothing:1: it holds no instructions"));
}

TEST_F(CtlBuildTest, WhenFlagsAreGiven_TheOptionsHoldThem) {
  mkdir((dir_ / "assets").c_str(), 0755);
  EXPECT_EQ(Ctl({"build",
                 context_,
                 "--label",
                 "a=b",
                 "--add-host",
                 "db:10.0.0.7",
                 "--add-host",
                 "six=[::1]",
                 "--shm-size",
                 "128m",
                 "--network",
                 "none",
                 "--allow",
                 "network.host",
                 "--allow",
                 "security.insecure",
                 "--pull",
                 "--push",
                 "-t",
                 "x",
                 "--platform",
                 "linux/arm64",
                 "--compression",
                 "zstd",
                 "--no-cache-filter",
                 "a,b",
                 "--build-context",
                 "base=docker-image://alpine:3",
                 "--build-context",
                 "assets=" + (dir_ / "assets")}),
            kExitOk)
      << err_;
  const v1::BuildOptions options = server_.last_build();
  EXPECT_EQ(options.labels().at("a"), "b");
  EXPECT_EQ(options.extra_hosts().at("db"), "10.0.0.7");
  EXPECT_EQ(options.extra_hosts().at("six"), "::1");
  EXPECT_EQ(options.shm_size_bytes(), 128 << 20);
  EXPECT_EQ(options.network(), "none");
  EXPECT_TRUE(options.allow_host_network());
  EXPECT_TRUE(options.allow_insecure());
  EXPECT_TRUE(options.pull());
  EXPECT_TRUE(options.push());
  EXPECT_EQ(options.compression(), "zstd");
  EXPECT_THAT(options.no_cache_filter(), ElementsAre("a", "b"));
  EXPECT_EQ(options.contexts().at("base"), "docker-image://alpine:3");
  EXPECT_EQ(options.contexts().at("assets"), "");
  const std::vector<std::vector<std::string>> wrong = {
      {"--allow", "all"},
      {"--add-host", "x"},
      {"--shm-size", "big"},
      {"--secret", "src=x"},
      {"--secret", "id=a,src=x,env=Y"},
      {"--secret", "id=a,file=x"},
      {"--output", "type=zip,dest=x"},
      {"-o", "a", "-o", "b"},
      {"--progress", "loud"},
      {"--build-context", "x"},
  };
  for (std::vector<std::string> words : wrong) {
    words.insert(words.begin(), {"build", context_});
    EXPECT_EQ(Ctl(words), kExitUsage) << words[2] << " " << words[3];
  }
}

TEST_F(CtlBuildTest, WhenDockersConfigurationHasThem_CredentialsAreSent) {
  const auto auth = [](const std::string& pair) {
    return absl::StrCat(R"({"auth":")", absl::Base64Escape(pair), R"("})");
  };
  const std::string config =
      File("config.json",
           absl::StrCat(R"({"auths":{"from.example":)", auth("f:1"),
                        R"(,"arg.example:5000":)", auth("a:2"),
                        R"(,"push.example":)", auth("p:3"),
                        R"(,"https://index.docker.io/v1/":)", auth("h:4"),
                        R"(,"other.example":)", auth("o:5"), "}}"));
  environment_["DOCKER_CONFIG"] = config.substr(0, config.rfind('/'));
  const auto sent = [&] {
    std::vector<std::string> all;
    const v1::BuildOptions options = server_.last_build();
    for (const auto& [registry, credentials] : options.credentials()) {
      all.push_back(absl::StrCat(registry, " ", credentials.username(), ":",
                                 credentials.password()));
    }
    return all;
  };
  File("context/Dockerfile", "ARG BASE\nFROM $BASE\nFROM from.example/x\n");
  EXPECT_EQ(Ctl({"build", context_, "--build-arg", "BASE=arg.example:5000/base",
                 "-t", "push.example/x"}),
            kExitOk)
      << err_;
  EXPECT_THAT(sent(),
              UnorderedElementsAre("from.example f:1", "arg.example:5000 a:2",
                                   "docker.io h:4"));
  EXPECT_EQ(Ctl({"build", context_, "--push", "-t", "push.example/x"}),
            kExitOk);
  EXPECT_THAT(sent(),
              UnorderedElementsAre("from.example f:1", "push.example p:3",
                                   "docker.io h:4"));
  // What only the daemon will see.
  EXPECT_EQ(Ctl({"build", "https://example.com/a.git"}), kExitOk);
  EXPECT_THAT(sent(), ElementsAre("docker.io h:4"));
  File("config.json", "{");
  EXPECT_EQ(Ctl({"build", context_}), kExitOk);
  EXPECT_THAT(err_, HasSubstr("config.json cannot be used"));
  EXPECT_EQ(sent().size(), 0u);
}

TEST_F(CtlBuildTest, WhenSecretsAreGiven_TheyAreSealed) {
  environment_["TOKEN"] = "from-the-environment";
  EXPECT_EQ(Ctl({"build", context_, "--secret",
                 "id=file,src=" + File("secret", "from-a-file"), "--secret",
                 "id=TOKEN"}),
            kExitOk)
      << err_;
  const v1::BuildOptions options = server_.last_build();
  ASSERT_EQ(options.sealed_secrets().size(), 2u);
  for (const auto& [id, sealed] : options.sealed_secrets()) {
    EXPECT_THAT(sealed, Not(HasSubstr("from-")));
    EXPECT_GT(sealed.size(), crypto_box_SEALBYTES);
  }
}

TEST_F(CtlBuildTest, WhenAnArchiveIsWanted_ItIsWrittenWhole) {
  v1::ImageProgress first;
  first.set_data("ARCH");
  v1::ImageProgress second;
  second.set_data("IVE");
  server_.set_progress({first, second});
  const std::string out = dir_ / "out.tar";
  EXPECT_EQ(Ctl({"build", context_, "-o", "type=oci,dest=" + out}), kExitOk)
      << err_;
  EXPECT_EQ(server_.last_build().output(), v1::BuildOptions::OCI);
  EXPECT_EQ(ReadAll(out), "ARCHIVE");
  EXPECT_EQ(Ctl({"build", context_, "-o", "-"}), kExitOk) << err_;
  EXPECT_EQ(server_.last_build().output(), v1::BuildOptions::FILES);
  EXPECT_EQ(out_, "ARCHIVE");
  server_.FailNext("Build", grpc::Status(grpc::StatusCode::UNAVAILABLE, "x"));
  EXPECT_EQ(Ctl({"build", context_, "-o", "type=tar,dest=" + (dir_ / "none")}),
            kExitError);
  EXPECT_EQ(ReadAll(dir_ / "none"), "");
}

TEST_F(CtlBuildTest, WhenItIsDone_ScriptsFindTheDigest) {
  v1::ImageProgress done;
  v1::ImageInfo& image = *done.add_images();
  image.set_digest("sha256:abc");
  image.set_config_digest("sha256:def");
  image.add_references("app:1");
  image.add_references("docker.io/shop/earlier:7");
  server_.set_progress({done});
  EXPECT_EQ(Ctl({"build", context_, "-t", "app:1", "--iidfile", dir_ / "iid",
                 "--metadata-file", dir_ / "meta", "-q"}),
            kExitOk);
  EXPECT_EQ(ReadAll(dir_ / "iid"), "sha256:abc");
  EXPECT_THAT(ReadAll(dir_ / "meta"),
              AllOf(HasSubstr("\"containerimage.digest\": \"sha256:abc\""),
                    HasSubstr("\"image.name\": \"app:1\"")));
  EXPECT_EQ(err_, "");
  // Names that were not given are not theirs to expect.
  EXPECT_EQ(out_, "app:1 sha256:abc\n");
  EXPECT_EQ(Ctl({"build", context_, "-q"}), kExitOk);
  EXPECT_EQ(out_, "sha256:abc\n");
}

TEST_F(CtlBuildTest, WhenStepsRun_EachLineSaysWhose) {
  v1::ImageProgress begin;
  begin.set_id("2/3");
  begin.set_stage("web");
  begin.set_status("running");
  begin.set_output("RUN make");
  v1::ImageProgress line = begin;
  line.set_output("hello");
  v1::ImageProgress end = begin;
  end.clear_output();
  end.set_status("done");
  end.mutable_elapsed()->set_seconds(2);
  v1::ImageProgress warning;
  warning.set_id("check");
  warning.set_status("done");
  v1::BuildWarning& w = *warning.add_warnings();
  w.set_rule("StageNameCasing");
  w.set_message("name it in lower case");
  w.set_line(4);
  server_.set_progress({warning, begin, line, end});
  EXPECT_EQ(Ctl({"build", context_}), kExitOk);
  EXPECT_THAT(err_, HasSubstr("#2/3 [web] RUN make\n"
                              "#2/3 [web] hello\n"
                              "#2/3 [web] DONE 2.0s\n"
                              "warning: StageNameCasing: name it in lower case"
                              " (line 4)\n"));
  EXPECT_EQ(Ctl({"build", context_, "--check"}), kExitError);
  EXPECT_EQ(Ctl({"build", context_, "--progress", "json"}), kExitOk);
  EXPECT_THAT(err_, HasSubstr("\"output\":\"hello\""));
}

}  // namespace
}  // namespace bulwark::ctl::testing
