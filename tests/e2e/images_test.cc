// ctl pull, load, images, tag, rmi: images and how they get here.

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "tests/e2e/session.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

class ImagesTest : public Suite {
 protected:
  static void SetUpTestSuite() {
    Open("e2eimg");
    nginx_ = world().PushNginx("1", "v1");
  }
  static void TearDownTestSuite() { Close(); }

  static std::string nginx_;
};

std::string ImagesTest::nginx_;

TEST_F(ImagesTest, WhenPulled_TellsProgressAndTheDigest) {
  const Result pulled = Ctl({"pull", busybox()});
  EXPECT_THAT(pulled.out, MatchesRegex(".*/busybox:1 sha256:[0-9a-f]{64}\n"));
  EXPECT_THAT(pulled.err,
              AllOf(StartsWith(busybox() + ": resolving\n"),
                    ::testing::ContainsRegex("\n[0-9a-f]{12}: downloading\n"),
                    ::testing::ContainsRegex("\n[0-9a-f]{12}: done\n")));
  EXPECT_THAT(Ctl({"images"}).out,
              AllOf(StartsWith("IMAGE"), HasSubstr(busybox())));
  EXPECT_EQ(Ctl({"pull", "-q", busybox()}).err, "");
}

TEST_F(ImagesTest, WhenPulledOnATerminal_DrawsBars) {
  Terminal pull(CtlCommand(world(), {"pull", nginx_}), 24, 100);
  EXPECT_EQ(pull.Wait(), 0);
  EXPECT_THAT(pull.screen(), AllOf(HasSubstr("resolving"), HasSubstr("\x1b["),
                                   HasSubstr(" MB"), HasSubstr("sha256:")));
}

TEST_F(ImagesTest, WhenItCannotBePulled_SaysWhy) {
  EXPECT_THAT(CtlFails({"pull", busybox() + "none"}).err,
              HasSubstr(": fetch manifest: "));
  EXPECT_THAT(CtlFails({"pull", "not an image"}).err,
              HasSubstr("not an image"));
}

TEST_F(ImagesTest, WhenAnArchiveIsLoaded_ServicesCanUseIt) {
  const std::string archive = world().Path("busybox.tar");
  const Result saved =
      e2e::Run({"skopeo", "copy", "--quiet", "--src-tls-verify=false",
                "docker://" + busybox(),
                "docker-archive:" + archive + ":team/box:saved"});
  ASSERT_TRUE(saved.ok()) << saved.ToString();
  EXPECT_THAT(Ctl({"load", "-i", archive}).out,
              MatchesRegex("docker.io/team/box:saved sha256:[0-9a-f]{64}\n"));
  EXPECT_EQ(
      Ctl({"run", "--pull", "never", "team/box:saved", "echo", "loaded"}).out,
      "loaded\n");
  // A second time changes nothing.
  Ctl({"load", "-q", "-i", archive});
  Ctl({"tag", "team/box:saved", "box:local"});
  EXPECT_EQ(Ctl({"run", "--pull", "never", "box:local", "echo", "tagged"}).out,
            "tagged\n");
  EXPECT_EQ(Ctl({"rmi", "box:local"}).out, "image box:local removed\n");
  EXPECT_THAT(CtlFails({"rmi", "box:local"}).err, HasSubstr("is not present"));
  EXPECT_THAT(Ctl({"images", "-q"}).out,
              AllOf(HasSubstr("docker.io/team/box:saved\n"),
                    Not(HasSubstr("box:local"))));
}

TEST_F(ImagesTest, WhenPushed_OthersFindItThere) {
  const std::string host = busybox().substr(0, busybox().find('/'));
  const std::string there = host + "/pushed/box:2";
  Ctl({"pull", "-q", busybox()});
  const Result pushed = Ctl({"push", busybox(), there});
  EXPECT_THAT(pushed.out,
              MatchesRegex(".*/pushed/box:2 sha256:[0-9a-f]{64}\n"));
  // Its layers are mounted from the repository that it was pulled from.
  EXPECT_THAT(pushed.err,
              AllOf(HasSubstr(": mounted\n"), HasSubstr(": pushed\n")));
  const Result seen = e2e::Run(
      {"skopeo", "inspect", "--tls-verify=false", "docker://" + there});
  EXPECT_TRUE(seen.ok()) << seen.ToString();
  EXPECT_EQ(Ctl({"tags", host + "/pushed/box"}).out, "2\n");
  EXPECT_THAT(Ctl({"referrers", there}).out, StartsWith("DIGEST"));
  EXPECT_THAT(
      Ctl({"pull", "--all-tags", "-o", "json", host + "/pushed/box"}).out,
      HasSubstr("pushed/box:2"));
  EXPECT_EQ(Ctl({"run", "--pull", "never", there, "echo", "back"}).out,
            "back\n");
  EXPECT_THAT(CtlFails({"push", "nobody:1"}).err, HasSubstr("is not present"));
}

// What the registry has under a name, byte for byte.
std::string Raw(const std::string& name) {
  const Result raw = Run(
      {"skopeo", "inspect", "--raw", "--tls-verify=false", "docker://" + name});
  EXPECT_TRUE(raw.ok()) << raw.ToString();
  return raw.out;
}

void CopyAll(const std::string& from, const std::string& to) {
  const Result copied =
      Run({"skopeo", "--insecure-policy", "copy", "--all", "--quiet",
           "--preserve-digests", "--src-tls-verify=false",
           "--dest-tls-verify=false", from, to});
  EXPECT_TRUE(copied.ok()) << copied.ToString();
}

TEST_F(ImagesTest, WhenItIsForSeveralPlatforms_TheIndexGoesThroughUnchanged) {
  const std::string host = busybox().substr(0, busybox().find('/'));
  const std::string context = world().Path("several");
  std::filesystem::create_directories(context);
  WriteFile(context + "/file", "content\n");
  WriteFile(context + "/Dockerfile", "FROM scratch\nCOPY file /file\n");
  Ctl({"build", "-q", "--platform", "linux/arm64", "-t", "box:arm64", context});
  Ctl({"pull", "-q", busybox()});
  Ctl({"tag", busybox(), "box:amd64"});
  // Made by us, pushed, and taken by skopeo with all that it lists.
  EXPECT_THAT(Ctl({"image", "index", "box:both", "box:amd64", "box:arm64"}).out,
              MatchesRegex("box:both sha256:[0-9a-f]{64}\n"));
  const std::string made = host + "/several/made:1";
  Ctl({"push", "-q", "--all-platforms", "box:both", made});
  EXPECT_EQ(Raw(made),
            Ctl({"image", "inspect", "--raw", "index", "box:both"}).out);
  const std::string copied = host + "/copied/box:1";
  CopyAll("docker://" + made, "docker://" + copied);
  EXPECT_EQ(Raw(copied), Raw(made));

  // In from there for this host alone: it runs, and is not all.
  for (const char* name : {"box:both", "box:amd64", "box:arm64"}) {
    Ctl({"rmi", name});
  }
  Ctl({"pull", "-q", copied});
  EXPECT_EQ(Ctl({"run", "--pull", "never", copied, "echo", "runs"}).out,
            "runs\n");
  const std::string mirror = host + "/mirror/box:1";
  EXPECT_THAT(CtlFails({"push", "--all-platforms", copied, mirror}).err,
              AllOf(HasSubstr("linux/arm64"),
                    HasSubstr("ctl pull --all-platforms " + copied)));
  // With all, and out again.
  Ctl({"pull", "-q", "--all-platforms", copied});
  Ctl({"push", "-q", "--all-platforms", copied, mirror});
  EXPECT_EQ(Raw(mirror), Raw(made));
  const std::string archive = world().Path("several.tar");
  Ctl({"save", "-q", "--all-platforms", "--format", "oci", "-o", archive,
       copied});
  const std::string unpacked = host + "/archive/box:1";
  CopyAll("oci-archive:" + archive, "docker://" + unpacked);
  EXPECT_EQ(Raw(unpacked), Raw(made));
  Ctl({"rmi", copied});
  Ctl({"load", "-q", "-i", archive});
  Ctl({"push", "-q", "--all-platforms", copied, host + "/loaded/box:1"});
  EXPECT_EQ(Raw(host + "/loaded/box:1"), Raw(made));
  Ctl({"rmi", copied});
  EXPECT_THAT(Ctl({"images"}).out, Not(HasSubstr("several")));
}

TEST_F(ImagesTest, WhenNothingIsForThisHost_ItIsMirroredAndNotRun) {
  const std::string host = busybox().substr(0, busybox().find('/'));
  const std::string context = world().Path("foreign");
  std::filesystem::create_directories(context);
  WriteFile(context + "/file", "far away\n");
  WriteFile(context + "/Dockerfile", "FROM scratch\nCOPY file /file\n");
  Ctl({"build", "-q", "--platform", "linux/s390x", "-t", "far:1", context});
  Ctl({"image", "index", "far:all", "far:1"});
  const std::string there = host + "/far/app:1";
  Ctl({"push", "-q", "--all-platforms", "far:all", there});
  Ctl({"rmi", "far:all", "far:1"});
  EXPECT_THAT(CtlFails({"pull", there}).err, HasSubstr("linux/s390x"));
  Ctl({"pull", "-q", "--all-platforms", there});
  EXPECT_THAT(
      CtlFails({"run", "--pull", "never", there, "true"}, 125).err,
      AllOf(HasSubstr("no image for this host"), HasSubstr("linux/s390x")));
  EXPECT_THAT(CtlFails({"run", there, "true"}, 125).err,
              HasSubstr("linux/s390x"));
  EXPECT_THAT(Ctl({"images", "--digests"}).out, HasSubstr(there));
  EXPECT_THAT(Ctl({"image", "inspect", there}).out, HasSubstr("\"index\": {"));
  Ctl({"push", "-q", "--all-platforms", there, host + "/far/copy:1"});
  EXPECT_EQ(Raw(host + "/far/copy:1"), Raw(there));
  Ctl({"rmi", there});
}

TEST_F(ImagesTest, WhenBuiltAndPushed_OthersFindItThere) {
  const std::string host = busybox().substr(0, busybox().find('/'));
  const std::string there = host + "/built/box:1";
  const std::string context = world().Path("context");
  std::filesystem::create_directories(context);
  WriteFile(context + "/kept", "kept\n");
  WriteFile(context + "/Dockerfile",
            "FROM " + busybox() +
                "\nCOPY kept /kept\n"
                "RUN --mount=type=tmpfs,target=/scratch"
                " cat /kept > /scratch/a && cp /scratch/a /made\n"
                "CMD [\"cat\", \"/made\"]\n");
  Ctl({"build", "-q", "--push", "-t", there, context});
  const Result seen = e2e::Run(
      {"skopeo", "inspect", "--tls-verify=false", "docker://" + there});
  EXPECT_TRUE(seen.ok()) << seen.ToString();
  Ctl({"rmi", there});
  EXPECT_EQ(Ctl({"run", "--pull", "always", there}).out, "kept\n");
  Ctl({"rmi", there});
}

TEST_F(ImagesTest, WhenABuildHasMounts_StepsSeeThemAndTheImageDoesNot) {
  const std::string context = world().Path("mounts");
  std::filesystem::create_directories(context);
  WriteFile(world().Path("token"), "not-for-others");
  WriteFile(context + "/data", "data");
  WriteFile(context + "/Dockerfile",
            "FROM " + busybox() +
                "\nRUN --mount=type=secret,id=token"
                " --mount=type=cache,target=/cache"
                " --mount=type=bind,target=/context --network=none"
                " wc -c < /run/secrets/token > /size &&"
                " cat /context/data > /copied && echo x >> /cache/runs &&"
                " wc -l < /cache/runs > /runs\n"
                "CMD [\"sh\", \"-c\", \"cat /size /copied /runs;"
                " ls / /run /cache /context 2>&1; true\"]\n");
  const std::string secret = "id=token,src=" + world().Path("token");
  for (const char* runs : {"1", "2"}) {
    Ctl({"build", "-q", "--no-cache", "--secret", secret, "-t", "mounted:1",
         context});
    const std::string out = Ctl({"run", "--pull", "never", "mounted:1"}).out;
    EXPECT_THAT(out, StartsWith(absl::StrCat("14\ndata", runs, "\n")));
    EXPECT_THAT(out, Not(HasSubstr("token")));
  }
  EXPECT_TRUE(std::filesystem::is_empty(world().Path("r/build-secrets")));
  EXPECT_THAT(CtlFails({"build", "--no-cache", "-t", "mounted:2", context}).err,
              HasSubstr("token"));
  WriteFile(context + "/Dockerfile",
            "FROM " + busybox() + "\nRUN --network=host true\n");
  EXPECT_THAT(CtlFails({"build", "-t", "mounted:2", context}).err,
              HasSubstr("network.host"));
  Ctl({"rmi", "mounted:1"});
}

TEST_F(ImagesTest, WhenItIsNoArchive_SaysSo) {
  WriteFile(world().Path("text"), std::string(5000, 'x'));
  EXPECT_THAT(CtlFails({"load", "-i", world().Path("text")}).err,
              HasSubstr("it is no tar archive; make one with `ctl save`"));
  CtlFails({"load", "-i", world().Path("none")});
}

TEST_F(ImagesTest, WhenSaved_ItCanBeLoadedAgainAndRun) {
  const std::string archive = world().Path("saved.tar");
  Ctl({"pull", "-q", busybox()});
  Ctl({"tag", busybox(), "kept:1"});
  const std::string digest = Ctl({"images"}).out;
  Ctl({"save", "-o", archive, "kept:1"});
  Ctl({"rmi", "kept:1"});
  EXPECT_THAT(Ctl({"load", "-q", "-i", archive}).out,
              HasSubstr("docker.io/library/kept:1"));
  EXPECT_EQ(Ctl({"images"}).out.size(), digest.size());
  EXPECT_EQ(Ctl({"run", "--pull", "never", "kept:1", "echo", "back"}).out,
            "back\n");
  EXPECT_THAT(CtlFails({"save", "-o", archive, "none:1"}).err,
              HasSubstr("none:1 is not present"));
  Ctl({"untag", "kept:1"});
  EXPECT_THAT(Ctl({"images", "-q"}).out, Not(HasSubstr("kept:1")));
}

TEST_F(ImagesTest, WhenARootFileSystemIsImported_ItRuns) {
  const std::string root = world().Path("root");
  std::filesystem::create_directories(root + "/bin");
  std::filesystem::copy_file("/bin/busybox", root + "/bin/busybox");
  std::filesystem::create_symlink("busybox", root + "/bin/sh");
  const std::string tar = world().Path("root.tar");
  ASSERT_TRUE(e2e::Run({"tar", "-C", root, "-czf", tar, "."}).ok());
  EXPECT_THAT(Ctl({"import", tar, "imported:1", "-m", "by hand", "-c",
                   "CMD [\"/bin/sh\", \"-c\", \"echo imported\"]"})
                  .out,
              HasSubstr("docker.io/library/imported:1"));
  EXPECT_EQ(Ctl({"run", "--pull", "never", "imported:1"}).out, "imported\n");
  EXPECT_THAT(Ctl({"history", "imported:1"}).out, HasSubstr("by hand"));
  EXPECT_THAT(Ctl({"image", "inspect", "imported:1"}).out,
              AllOf(HasSubstr("echo imported"), HasSubstr("diffId")));
  EXPECT_THAT(Ctl({"inspect", "imported:1"}).out, HasSubstr("echo imported"));
  Ctl({"rmi", "imported:1"});
}

TEST_F(ImagesTest, WhenContentIsDamaged_VerifyRepairsItUnderAService) {
  Ctl({"pull", "-q", busybox()});
  ASSERT_TRUE(world().Apply(Manifest("steady", "exec sleep 100000")).ok());
  ASSERT_TRUE(world().AwaitReady("steady", 1));
  const ReplicaInfo before = world().Ready("steady").at(0);
  EXPECT_THAT(Ctl({"verify", busybox()}).out, HasSubstr("all is well"));
  // One byte of a file in a layer, and a blob that is gone.
  const std::string images = world().Path("s/images");
  int harmed = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(images + "/layers")) {
    if (entry.path().filename() != "busybox") continue;
    // A new file: the program in the old one runs.
    std::filesystem::remove(entry.path());
    WriteFile(entry.path(), "no program");
    ++harmed;
  }
  ASSERT_GT(harmed, 0);
  const Result found = world().Ctl({"verify", busybox()});
  EXPECT_EQ(found.code, 1);
  EXPECT_THAT(found.out,
              AllOf(HasSubstr("layer sha256:"), HasSubstr(busybox())));
  EXPECT_THAT(found.err, HasSubstr("ctl verify --repair"));
  EXPECT_THAT(Ctl({"verify", "--repair"}).out, HasSubstr("repaired"));
  EXPECT_THAT(Ctl({"verify"}).out, HasSubstr("all is well"));
  EXPECT_EQ(world().Ready("steady").at(0).uid, before.uid);
  EXPECT_EQ(Ctl({"run", busybox(), "echo", "mended"}).out, "mended\n");
  Ctl({"delete", "service", "steady", "--wait"});
}

TEST_F(ImagesTest, WhenPruned_TheDiskHasWhatIsSaid) {
  const std::string root = world().Path("large");
  std::filesystem::create_directories(root);
  std::string noise(8 << 20, '\0');
  for (size_t i = 0, x = 1; i < noise.size(); ++i) {
    x = x * 6364136223846793005 + 1442695040888963407;
    noise[i] = static_cast<char>(x >> 56);
  }
  WriteFile(root + "/noise", noise);
  const std::string tar = world().Path("large.tar");
  ASSERT_TRUE(e2e::Run({"tar", "-C", root, "-cf", tar, "."}).ok());
  Ctl({"import", "-q", tar, "large:1"});
  Ctl({"untag", "large:1"});
  const auto size_on_disk = [&] {
    return std::stoll(
        e2e::Run({"du", "-s", "-B1", world().Path("s/images")}).out);
  };
  const int64_t before = size_on_disk();
  // Blob and layer.
  EXPECT_THAT(Ctl({"system", "df"}).out, HasSubstr("16.8 MB"));
  EXPECT_THAT(Ctl({"system", "prune", "--type", "images"}).out,
              HasSubstr("image sha256:"));
  EXPECT_NEAR(before - size_on_disk(), 2 * (8 << 20), 1 << 20);
}

TEST_F(ImagesTest, WhenUsersAreMapped_FilesLookAsTheyDoWithout) {
  const std::string root = world().Path("owned");
  std::filesystem::create_directories(root + "/bin");
  std::filesystem::copy_file("/bin/busybox", root + "/bin/busybox");
  const Result made = e2e::Run(
      {"sh", "-c",
       "cd $0 && for n in sh sleep find stat; do ln -s busybox bin/$n; done && "
       "mkdir -p tree/d && for o in 0:0 1:2 1000:1000 65534:65534 5:65535; do "
       "touch tree/$o && chown $o tree/$o; done && touch tree/setuid && "
       "chown 7:8 tree/setuid tree/d && chmod 6755 tree/setuid && "
       "chmod 1777 tree/d && ln tree/setuid tree/hard && mkfifo tree/fifo && "
       "ln -s d tree/link && chown -h 9:9 tree/link && "
       "tar -cf ../owned.tar .",
       root});
  ASSERT_TRUE(made.ok()) << made.ToString();
  Ctl({"import", "-q", world().Path("owned.tar"), "owned:1"});
  std::string seen[2];
  for (const bool host : {false, true}) {
    const std::string name = host ? "with-hosts" : "with-own";
    ASSERT_TRUE(world()
                    .Apply(absl::StrCat("kind: Service\nname: ", name,
                                        "\nimage: owned:1\n"
                                        "command: [/bin/sleep, \"100000\"]\n",
                                        "stop: {timeout: 1s}\n",
                                        host ? "hostUsers: true\n" : ""))
                    .ok());
    ASSERT_TRUE(world().AwaitReady(name, 1));
    seen[host] = Ctl({"exec", name, "--", "/bin/find", "/tree", "-exec",
                      "/bin/stat", "-c", "%n %u:%g %a %h %F %s", "{}", ";"})
                     .out;
    Ctl({"delete", "service", name, "--wait"});
  }
  EXPECT_EQ(seen[0], seen[1]);
  EXPECT_THAT(seen[0], AllOf(HasSubstr("/tree/setuid 7:8 6755 2 "),
                             HasSubstr("/tree/5:65535 5:65535 "),
                             HasSubstr("/tree/link 9:9 "),
                             HasSubstr("/tree/d 7:8 1777 ")));
  Ctl({"rmi", "owned:1"});
}

TEST_F(ImagesTest, WhenItsImageIsRemoved_AServiceRunsOn) {
  ASSERT_TRUE(world().Apply(Manifest("user", "exec sleep 100000")).ok());
  ASSERT_TRUE(world().AwaitReady("user", 1));
  Ctl({"rmi", busybox()});
  const ReplicaInfo before = world().Ready("user").at(0);
  Ctl({"exec", "user", "ls", "/bin/cat"});
  world().KillDaemon();
  world().StartDaemon();
  EXPECT_TRUE(Eventually([&] {
    const std::vector<ReplicaInfo> ready = world().Ready("user");
    return ready.size() == 1 && ready[0].uid == before.uid;
  }));
  Ctl({"exec", "user", "ls", "/bin/cat"});
  Ctl({"delete", "service", "user", "--wait"});
}

}  // namespace
}  // namespace bulwark::e2e
