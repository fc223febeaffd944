// RUN --mount, and what else a step's container is given.
#include <sys/stat.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/build/mode_change.h"
#include "engine/build/testing/build_fixture.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Contains;
using testing::Effect;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class MountsTest : public testing::BuildFixture {
 protected:
  static const Mount* Find(const ContainerSpec& spec,
                           const std::string& target) {
    for (const Mount& mount : spec.mounts) {
      if (mount.destination == target) return &mount;
    }
    ADD_FAILURE() << "nothing at " << target;
    return nullptr;
  }
};

TEST_F(MountsTest, WhenASecretIsMounted_OnlyTheStepSeesIt) {
  request_.secrets["token"] = SecretText("s3cret");
  engine_.script = [](const ContainerSpec& spec) {
    const Mount* file = Find(spec, "/run/secrets/token");
    if (file == nullptr) return Effect{1, ""};
    EXPECT_TRUE(file->read_only);
    EXPECT_THAT(os::ReadFile(file->source, 100), IsOkAndHolds("s3cret"));
    struct stat st;
    EXPECT_EQ(stat(file->source.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 0440u);
    EXPECT_EQ(st.st_uid, 5u);
    EXPECT_THAT(spec.env, Contains("TOKEN=s3cret"));
    // What the engine leaves of mount points.
    EXPECT_OK(os::MakeDirs(spec.upper_dir + "/run/secrets", 0755));
    EXPECT_OK(os::WriteFileDurably(spec.upper_dir + "/run/secrets/token", ""));
    EXPECT_OK(os::WriteFileDurably(spec.upper_dir + "/out", "x"));
    return Effect();
  };
  const std::string file =
      "FROM scratch\n"
      "RUN --mount=type=secret,id=token,target=/run/secrets/token,mode=0440,"
      "uid=5 --mount=type=secret,id=token,env=TOKEN make\n";
  ASSERT_OK_AND_ASSIGN(Image image, Build(file));
  EXPECT_THAT(os::ListDir(image.layers[0]), IsOkAndHolds(ElementsAre("out")));
  EXPECT_THAT(os::ListDir(dir_ / "memory"), IsOkAndHolds(IsEmpty()));
  // Another value does not run it again: it is not part of the key.
  request_.secrets["token"] = SecretText("other");
  ASSERT_OK(Build(file));
  EXPECT_EQ(CachedSteps(), 1);
  EXPECT_THAT(engine_.started, SizeIs(1));
}

TEST_F(MountsTest, WhenACacheIsMounted_ItStaysAndIsPruned) {
  Write("seed/a", "seed");
  int runs = 0;
  engine_.script = [&runs](const ContainerSpec& spec) {
    const Mount* mount = Find(spec, "/cache");
    if (mount == nullptr) return Effect{1, ""};
    EXPECT_THAT(os::ReadFile(mount->source + "/a", 100), IsOkAndHolds("seed"));
    EXPECT_EQ(os::ReadFile(mount->source + "/b", 100).ok(), runs > 0);
    EXPECT_OK(os::WriteFileDurably(mount->source + "/b", "kept"));
    ++runs;
    return Effect();
  };
  const std::string run =
      "RUN --mount=type=cache,target=/cache,source=seed,mode=0700 make ";
  ASSERT_OK(Build("FROM scratch\n" + run + "1\n" + run + "2\n"));
  EXPECT_EQ(runs, 2);
  ASSERT_OK_AND_ASSIGN(ImagesUsage usage, images_->Usage({}));
  EXPECT_EQ(usage.build_cache.count, 3);  // two steps, one directory
  EXPECT_GE(usage.build_cache.reclaimable_bytes, 4096);
  PruneImagesRequest prune;
  prune.build_cache = true;
  ASSERT_OK_AND_ASSIGN(PruneImagesResult pruned, images_->Prune(prune));
  EXPECT_THAT(pruned.removed, Contains("1 cache directory of builds"));
  EXPECT_THAT(os::ListDir(dir_ / "state/build-mounts"),
              IsOkAndHolds(IsEmpty()));
}

TEST_F(MountsTest, WhenFilesAreBound_TheyAreReadFromTheirPlace) {
  Write("src/main.c", "int main;");
  Write("src/secret.key", "k");
  Write(".dockerignore", "**/*.key\n");
  engine_.script = [](const ContainerSpec& spec) {
    if (spec.mounts.empty()) {
      EXPECT_OK(os::MakeDirs(spec.upper_dir + "/lib", 0755));
      EXPECT_OK(os::WriteFileDurably(spec.upper_dir + "/lib/l", "library"));
      return Effect();
    }
    const Mount* source = Find(spec, "/app/src");
    const Mount* library = Find(spec, "/lib");
    if (source == nullptr || library == nullptr) return Effect{1, ""};
    EXPECT_THAT(os::ListDir(source->source),
                IsOkAndHolds(ElementsAre("main.c")));
    EXPECT_FALSE(source->read_only);
    EXPECT_OK(os::WriteFileDurably(source->source + "/new", "dropped"));
    EXPECT_TRUE(library->read_only);
    EXPECT_THAT(os::ReadFile(library->source + "/l", 100),
                IsOkAndHolds("library"));
    return Effect();
  };
  const std::string file =
      "FROM scratch AS lib\nRUN make\n"
      "FROM scratch\nWORKDIR /app\n"
      "RUN --mount=type=bind,source=src,target=src,rw"
      " --mount=from=lib,source=/lib,target=/lib cc\n";
  ASSERT_OK(Build(file));
  EXPECT_FALSE(os::ReadFile(dir_ / "context/src/new", 10).ok());
  EXPECT_THAT(engine_.started, SizeIs(2));
  ASSERT_OK(Build(file));
  EXPECT_THAT(engine_.started, SizeIs(2));
  Write("src/main.c", "int other;");
  ASSERT_OK(Build(file));
  EXPECT_THAT(engine_.started, SizeIs(3));
}

TEST_F(MountsTest, WhenAStepSaysHow_TheContainerIsSo) {
  request_.allow_insecure = true;
  request_.allow_host_network = true;
  request_.extra_hosts = {{"db", "10.0.0.7"}};
  request_.shm_size_bytes = 1 << 20;
  engine_.script = [](const ContainerSpec& spec) {
    const Mount* tmp = Find(spec, "/scratch");
    if (tmp == nullptr) return Effect{1, ""};
    EXPECT_EQ(tmp->kind, Mount::Kind::kTmpfs);
    EXPECT_EQ(tmp->size_bytes, 64 << 20);
    EXPECT_EQ(spec.profile, SecurityProfile::kPrivileged);
    EXPECT_EQ(spec.network_namespace, "/proc/self/ns/net");
    EXPECT_EQ(spec.shm_bytes, 1 << 20);
    EXPECT_EQ(spec.hosts.size(), 1u);
    EXPECT_THAT(spec.args, ElementsAre("/.build-script"));
    const Mount* script = Find(spec, "/.build-script");
    if (script == nullptr) return Effect{1, ""};
    EXPECT_THAT(os::ReadFile(script->source, 100),
                IsOkAndHolds("#!/bin/python3\nprint(1)\n"));
    return Effect();
  };
  ASSERT_OK(
      Build("FROM scratch\n"
            "RUN --security=insecure --network=host"
            " --mount=type=tmpfs,target=/scratch,size=64m <<EOF\n"
            "#!/bin/python3\nprint(1)\nEOF\n"));
}

TEST_F(MountsTest, WhenAStepPrintsWithoutEnd_TheRestIsNotShown) {
  engine_.script = [](const ContainerSpec&) {
    std::string text;
    for (int i = 0; i < 30'000; ++i) text += std::string(99, 'x') + "\n";
    return Effect{0, text};
  };
  ASSERT_OK(Build("FROM scratch\nRUN yes\n"));
  EXPECT_THAT(Output(), Contains(HasSubstr("after 2 MiB, is not shown")));
  EXPECT_LT(progress_.size(), 22'000u);
}

TEST(ModeChangeTest, WhenWrittenAsChmodDoes_IsApplied) {
  struct Case {
    const char* text;
    mode_t before, after;
  };
  const Case cases[] = {
      {"755", S_IFREG | 0600, 0755},
      {"u=rwX,go=rX", S_IFREG | 0600, 0644},
      {"u=rwX,go=rX", S_IFDIR | 0700, 0755},
      {"+x", S_IFREG | 0644, 0755},
      {"go-rwx", S_IFREG | 0777, 0700},
      {"g=u", S_IFREG | 0640, 0660},
      {"u+s,+t", S_IFREG | 0755, 05755},
      {"a=", S_IFREG | 0777, 0},
      {"o+w-r", S_IFREG | 0444, 0442},
  };
  for (const Case& c : cases) {
    auto change = build::ModeChange::Parse(c.text);
    ASSERT_OK(change);
    EXPECT_EQ(change->Apply(c.before), c.after) << c.text;
  }
  for (const char* text : {"", "8", "77777", "u", "u=z", "x+r", ",", "+x,"}) {
    EXPECT_THAT(build::ModeChange::Parse(text),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

}  // namespace
}  // namespace bulwark::engine
