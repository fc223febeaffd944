// Images of other tools run here, and ours there: each goes through a real
// registry. The tools are those of third_party/debian/packages.txt.
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/e2e/docker.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;

constexpr char kOciManifest[] = "application/vnd.oci.image.manifest.v1+json";
constexpr char kDockerManifest[] =
    "application/vnd.docker.distribution.manifest.v2+json";

// Steps that every tool knows, with what layers are hard for: links of both
// kinds, modes, a file that a later layer takes away, and a folder that it
// replaces.
constexpr char kDockerfile[] = R"file(FROM scratch
COPY busybox /bin/busybox
COPY tree /tree
RUN ["/bin/busybox", "sh", "-c", "cd /tree && echo one > one && /bin/busybox ln one hard && /bin/busybox ln -s a soft && /bin/busybox rm gone && /bin/busybox rm -r d && /bin/busybox mkdir d && echo new > d/new && /bin/busybox chown 1000:1001 owned"]
ENV WORD=said
WORKDIR /tree
CMD ["/bin/busybox", "sh", "-c", "busybox() { /bin/busybox $@; }; busybox cat hard soft d/*; echo $WORD `busybox pwd`; busybox stat -c %a:%u:%g owned; busybox stat -c %h one; busybox ls"]
)file";
constexpr char kSays[] =
    "one\na\nnew\nsaid /tree\n640:1000:1001\n2\na\nd\nhard\none\nowned\nsoft\n";

// Another tool, with storage of its own below the world's folder.
class Tool {
 public:
  explicit Tool(Words prefix) : prefix_(std::move(prefix)) {}

  Result Do(const Words& words) const {
    Words all = prefix_;
    all.insert(all.end(), words.begin(), words.end());
    Result result = e2e::Run(all, absl::Seconds(100));
    EXPECT_TRUE(result.ok())
        << absl::StrJoin(prefix_, " ") << " " << absl::StrJoin(words, " ")
        << ": " << result.ToString();
    return result;
  }

 private:
  const Words prefix_;
};

class InterchangeTest : public Suite {
 protected:
  static void SetUpTestSuite() {
    CoverStateOfOthers();
    Open("e2einter");
    host_ = busybox().substr(0, busybox().find('/'));
    MakeContext();
  }

  static void TearDownTestSuite() {
    docker_.reset();
    Close();
  }

  static void MakeContext() {
    context_ = world().Path("context");
    fs::create_directories(context_ + "/tree/d");
    fs::copy_file("/bin/busybox", context_ + "/busybox");
    for (const char* name : {"a", "gone", "owned", "d/old"}) {
      WriteFile(absl::StrCat(context_, "/tree/", name),
                absl::StrCat(name, "\n"));
    }
    fs::permissions(context_ + "/tree/owned", fs::perms(0640));
    WriteFile(context_ + "/Dockerfile", kDockerfile);
  }

  // Storage flags that podman and buildah share.
  static Words Storage(const std::string& tool) {
    return {"--root",           world().Path(tool),
            "--runroot",        world().Path(tool + "-run"),
            "--storage-driver", "vfs"};
  }
  static Tool Podman() {
    Words words = {"podman"};
    const Words storage = Storage("podman");
    words.insert(words.end(), storage.begin(), storage.end());
    for (const char* word :
         {"--cgroup-manager", "cgroupfs", "--events-backend", "file"}) {
      words.push_back(word);
    }
    words.insert(words.end(), {"--tmpdir", world().Path("podman-tmp"),
                               "--runtime", Runtime()});
    return Tool(words);
  }
  static Tool Buildah() {
    Words words = {"buildah"};
    const Words storage = Storage("buildah");
    words.insert(words.end(), storage.begin(), storage.end());
    return Tool(words);
  }
  // Its daemon starts with the first that wants it.
  static const Docker& TheDocker() {
    if (docker_ == nullptr) docker_ = std::make_unique<Docker>(world());
    return *docker_;
  }
  // What every runtime has in common, on hybrid hosts too.
  static std::string Runtime() {
    return World::Runfile("engine/oci/bulwark-oci");
  }

  static std::string Name(const std::string& image) {
    return absl::StrCat(host_, "/", image);
  }

  // What the registry has under the name.
  static nlohmann::json Manifest(const std::string& name) {
    const Result raw = e2e::Run({"skopeo", "inspect", "--raw",
                                 "--tls-verify=false", "docker://" + name});
    EXPECT_TRUE(raw.ok()) << raw.ToString();
    return nlohmann::json::parse(raw.out, nullptr, false);
  }
  // Or else what was pushed before in another compression would be taken again.
  static void ForgetPushes() { fs::remove_all("/var/lib/containers/cache"); }

  // It is of that form: a test of something else would be none.
  static void ExpectForm(const std::string& name, const std::string& type,
                         const std::string& compression) {
    const nlohmann::json manifest = Manifest(name);
    EXPECT_EQ(manifest.value("mediaType", std::string(kOciManifest)), type);
    ASSERT_FALSE(manifest["layers"].empty());
    for (const auto& layer : manifest["layers"]) {
      EXPECT_THAT(layer["mediaType"].get<std::string>(),
                  ::testing::EndsWith(compression));
    }
  }

  // Pulled anew, and run by us.
  static void ExpectRunsHere(const std::string& name) {
    Ctl({"pull", "-q", name});
    EXPECT_EQ(Ctl({"run", "--rm", "--pull", "never", name}).out, kSays) << name;
    Ctl({"rmi", name});
  }

  // Built by us and pushed, and known to skopeo.
  static std::string Push(const std::string& compression,
                          const std::string& format) {
    const std::string name =
        Name(absl::StrCat("ours/", format, ":", compression));
    Ctl({"build", "-q", "--compression", compression, "-t", name, context_});
    Ctl({"push", "-q", "--format", format, name});
    const Result seen = e2e::Run(
        {"skopeo", "inspect", "--tls-verify=false", "docker://" + name});
    EXPECT_TRUE(seen.ok()) << seen.ToString();
    EXPECT_THAT(seen.out, HasSubstr("WORD=said"));
    return name;
  }

  static void ExpectPodmanRuns(const std::string& name) {
    const Tool podman = Podman();
    podman.Do({"pull", "-q", "--tls-verify=false", name});
    EXPECT_EQ(podman
                  .Do({"run", "--rm", "--network", "none", "--ulimit",
                       "nofile=512:512", "--ulimit", "nproc=512:512", name})
                  .out,
              kSays);
    podman.Do({"rmi", name});
  }

  static std::string host_, context_;
  static std::unique_ptr<Docker> docker_;
};

std::string InterchangeTest::host_, InterchangeTest::context_;
std::unique_ptr<Docker> InterchangeTest::docker_;

TEST_F(InterchangeTest, WhenPodmanHasPushed_ItRunsHere) {
  const Tool podman = Podman();
  podman.Do({"build", "-q", "--isolation", "chroot", "-t", "made", context_});
  for (const char* compression : {"gzip", "zstd"}) {
    for (const char* format : {"oci", "v2s2"}) {
      const bool oci = std::string(format) == "oci";
      // Docker's form has no name for zstd.
      if (!oci && std::string(compression) == "zstd") continue;
      const std::string name =
          Name(absl::StrCat("podman/", format, ":", compression));
      ForgetPushes();
      podman.Do({"push", "-q", "--tls-verify=false", "--format", format,
                 "--compression-format", compression, "made", name});
      ExpectForm(name, oci ? kOciManifest : kDockerManifest, compression);
      ExpectRunsHere(name);
    }
  }
}

TEST_F(InterchangeTest, WhenBuildahHasPushed_ItRunsHere) {
  const Tool buildah = Buildah();
  for (const char* format : {"oci", "docker"}) {
    const std::string made = absl::StrCat("made-", format);
    buildah.Do({"bud", "-q", "--isolation", "chroot", "--layers", "--format",
                format, "-t", made, context_});
    const bool oci = std::string(format) == "oci";
    const std::string compression = oci ? "zstd" : "gzip";
    const std::string name =
        Name(absl::StrCat("buildah/", format, ":", compression));
    ForgetPushes();
    buildah.Do({"push", "-q", "--tls-verify=false", "--compression-format",
                compression, made, name});
    ExpectForm(name, oci ? kOciManifest : kDockerManifest, compression);
    ExpectRunsHere(name);
  }
}

TEST_F(InterchangeTest, WhenDockerHasPushed_ItRunsHere) {
  const std::string name = Name("docker/made:1");
  const Docker& docker = TheDocker();
  docker.Do({"build", "-q", "--network", "none", "-t", name, context_});
  docker.Do({"push", "-q", name});
  ExpectForm(name, kDockerManifest, "gzip");
  ExpectRunsHere(name);
}

TEST_F(InterchangeTest, WhenWePush_PodmanRunsIt) {
  for (const char* compression : {"gzip", "zstd"}) {
    const std::string name = Push(compression, "oci");
    ExpectForm(name, kOciManifest, compression);
    ExpectPodmanRuns(name);
  }
  ExpectPodmanRuns(Push("gzip", "docker"));
}

// Docker 20.10, which is Debian 12's, reads no zstd.
TEST_F(InterchangeTest, WhenWePush_DockerRunsIt) {
  const Docker& docker = TheDocker();
  for (const char* format : {"oci", "docker"}) {
    const std::string name = Push("gzip", format);
    ExpectForm(name,
               std::string(format) == "oci" ? kOciManifest : kDockerManifest,
               "gzip");
    docker.Do({"pull", "-q", name});
    EXPECT_EQ(docker.Do({"run", "--rm", "--network", "none", name}).out, kSays);
    docker.Do({"rmi", name});
  }
}

}  // namespace
}  // namespace bulwark::e2e
