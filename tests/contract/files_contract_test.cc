// The contract over the fake, and over real containers.
#include "tests/contract/files_contract.h"

#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/fake/fake_engine.h"
#include "engine/fake/files/fake_files.h"
#include "engine/local/testing/local_world.h"

namespace bulwark::engine {
namespace {

class FakeHarness final : public FilesHarness {
 public:
  FakeHarness() {
    files_.SetImage({{"/etc/group", "g"}, {"/keep/one", "1"}});
    ContainerSpec spec;
    spec.id = "a";
    spec.args = {"/bin/obey"};
    EXPECT_OK(engine_.Start(spec));
  }
  Engine& engine() override { return engine_; }
  ContainerFiles& files() override { return files_; }
  void Write(const std::string& path, const std::string& text) override {
    files_.Write("a", path, text);
  }
  void Erase(const std::string& path) override { files_.Erase("a", path); }

 private:
  RealClock clock_;
  FakeEngine engine_{clock_};
  FakeFiles files_{engine_};
};

class LocalHarness final : public FilesHarness {
 public:
  explicit LocalHarness(const IdRange& ids) {
    std::filesystem::create_directories(world_.Layer() + "/keep");
    std::ofstream(world_.Layer() + "/keep/one") << "1";
    world_.SetIds(ids);
    EXPECT_OK(world_.engine().Start(world_.Obedient("a")));
  }
  Engine& engine() override { return world_.engine(); }
  ContainerFiles& files() override { return world_.engine(); }
  void Write(const std::string& path, const std::string& text) override {
    EXPECT_EQ(
        world_.RunShell("a", absl::StrCat("printf %s '", text, "' > ", path)),
        "");
  }
  void Erase(const std::string& path) override {
    EXPECT_EQ(world_.RunShell("a", absl::StrCat("busybox rm -r ", path)), "");
  }

 private:
  testing::LocalWorld world_;
};

INSTANTIATE_TEST_SUITE_P(
    Files, FilesContractTest,
    ::testing::Values(
        FilesContractParam{"Fake",
                           [] { return std::make_unique<FakeHarness>(); }},
        FilesContractParam{
            "LocalOfHost",
            [] { return std::make_unique<LocalHarness>(IdRange()); }},
        FilesContractParam{"LocalOwn",
                           [] {
                             return std::make_unique<LocalHarness>(
                                 IdRange{1879048192 + 10 * 65536, 65536});
                           }}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace bulwark::engine
