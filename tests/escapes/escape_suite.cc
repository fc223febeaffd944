#include "tests/escapes/escape_suite.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"

namespace bulwark::escapes {
namespace {

namespace fs = std::filesystem;
using conformance::ReadFile;
using conformance::Runtime;
using conformance::Workspace;
using conformance::WriteFile;

// In the workspace, where it can be written: the copies in the source tree are
// on a read-only mount, which would be what protects them.
constexpr char kRuntime[] = "/mnt/c/runtime/bulwark-oci";
constexpr int kLeaked = 6;

void InstallRuntime() {
  if (access(kRuntime, F_OK) == 0) return;
  CHECK(Workspace::directory() == "/mnt/c");
  fs::create_directory("/mnt/c/runtime");
  fs::copy_file(fs::canonical(Workspace::Runfile("engine/oci/bulwark-oci")),
                kRuntime);
  CHECK(chmod(kRuntime, 0755) == 0);
}

}  // namespace

std::map<std::string, std::string> Tree(const std::string& directory) {
  std::map<std::string, std::string> tree;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    const fs::file_status status = entry.symlink_status();
    std::string& what = tree[entry.path()];
    what = absl::StrCat(static_cast<int>(status.type()), " ",
                        static_cast<unsigned>(status.permissions()), " ");
    if (status.type() == fs::file_type::regular) {
      absl::StrAppend(&what, ReadFile(entry.path()));
    }
    if (status.type() == fs::file_type::symlink) {
      absl::StrAppend(&what, fs::read_symlink(entry.path()).string());
    }
  }
  return tree;
}

std::vector<Runtime> RuntimesUnderAttack() {
  const std::vector<Runtime> all = {
      {"bulwark-oci", kRuntime},
      {"crun", "/usr/bin/crun", /*wants_no_hybrid=*/true},
      {"runc", "/usr/sbin/runc"}};
  const char* wanted = getenv("ESCAPES_RUNTIMES");
  std::vector<Runtime> runtimes;
  for (const auto& name :
       absl::StrSplit(wanted == nullptr ? "bulwark-oci" : wanted, ' ')) {
    for (const Runtime& runtime : all) {
      if (runtime.name == name) runtimes.push_back(runtime);
    }
  }
  return runtimes;
}

INSTANTIATE_TEST_SUITE_P(Runtimes, EscapeTest,
                         ::testing::ValuesIn(RuntimesUnderAttack()),
                         conformance::RuntimeSuffix);

void EscapeTest::SetUp() {
  InstallRuntime();
  Suite::SetUp();
  CHECK(mkdir(host().c_str(), 0755) == 0);
  WriteFile(host() + "/sentinel", kUntouched);
  host_before_ = Tree(host());
  runtime_before_ = ReadFile(GetParam().path);
  ASSERT_FALSE(runtime_before_.empty());
}

void EscapeTest::TearDown() {
  EXPECT_EQ(Tree(host()), host_before_);
  EXPECT_TRUE(ReadFile(GetParam().path) == runtime_before_)
      << GetParam().path << " was overwritten";
  Suite::TearDown();
}

void EscapeTest::AddHostProgram(const std::string& name) {
  fs::copy_file(fs::canonical(Workspace::Runfile("tests/escapes/attacker")),
                host() + "/" + name);
  host_before_ = Tree(host());
}

void EscapeTest::AddAttacker() {
  fs::copy_file(fs::canonical(Workspace::Runfile("tests/escapes/attacker")),
                Inside("/bin/attacker"));
}

void EscapeTest::Bind(const std::string& source,
                      const std::string& destination) {
  bundle().AddMount(destination, "bind", source, {"bind"});
}

std::string EscapeTest::AddSharedVolume() {
  const std::string volume = scratch() + "/volume";
  CHECK(mkdir(volume.c_str(), 0755) == 0);
  Bind(volume, "/shared");
  return volume;
}

std::string EscapeTest::AddHostileDev() {
  const std::string dev = scratch() + "/dev";
  CHECK(mkdir(dev.c_str(), 0755) == 0);
  for (const char* name : {"/pts", "/shm", "/mqueue"}) {
    CHECK(mkdir((dev + name).c_str(), 0755) == 0);
  }
  for (conformance::Json& mount : config()["mounts"]) {
    if (mount["destination"] != "/dev") continue;
    mount = {{"destination", "/dev"},
             {"type", "bind"},
             {"source", dev},
             {"options", {"bind"}}};
  }
  return dev;
}

Outcome EscapeTest::RunWith(const std::vector<int>& files) {
  bundle().Write();
  conformance::ExecOptions options;
  options.fds = files;
  return container().Call(
      {"run", "--bundle", bundle().path(), container().id()}, options);
}

Outcome EscapeTest::ExecWith(const std::vector<int>& files,
                             const std::vector<std::string>& args) {
  conformance::ExecOptions options;
  options.fds = files;
  std::vector<std::string> words = {"exec"};
  words.insert(words.end(), args.begin(), args.end());
  return container().Call(words, options);
}

std::vector<UniqueFd> EscapeTest::LeakedFiles() const {
  std::vector<UniqueFd> files;
  for (int i = 0; i < kLeaked; ++i) {
    files.emplace_back(
        open(host().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    CHECK(files.back().ok());
  }
  return files;
}

std::vector<int> Numbers(const std::vector<UniqueFd>& files) {
  std::vector<int> numbers;
  for (const UniqueFd& file : files) numbers.push_back(file.get());
  return numbers;
}

}  // namespace bulwark::escapes
