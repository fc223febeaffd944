// Builds without a kernel: the commands of RUN are functions.
#ifndef ENGINE_BUILD_TESTING_BUILD_FIXTURE_H_
#define ENGINE_BUILD_TESTING_BUILD_FIXTURE_H_

#include <sys/stat.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/fake/fake_engine.h"
#include "engine/image/local_images.h"
#include "os/files.h"

namespace bulwark::engine::testing {

// What a command does: writes to the upper directory, prints, and ends.
struct Effect {
  int code = 0;
  std::string output;
};
using Script = std::function<Effect(const ContainerSpec& spec)>;

// A fake engine whose containers run a script and exit at once.
class ScriptedEngine final : public Engine {
 public:
  explicit ScriptedEngine(Clock& clock) : fake_(clock) {}

  Script script;
  std::vector<ContainerSpec> started;

  absl::Status Recover(EventSink sink) override { return fake_.Recover(sink); }
  absl::StatusOr<ContainerInfo> Start(const ContainerSpec& spec) override {
    ASSIGN_OR_RETURN(ContainerInfo info, fake_.Start(spec));
    {
      absl::MutexLock lock(&mu_);  // stages run side by side
      started.push_back(spec);
    }
    Effect effect = script ? script(spec) : Effect();
    if (!effect.output.empty()) {
      RETURN_IF_ERROR(fake_.Print(spec.id, effect.output));
    }
    if (effect.code >= 0) RETURN_IF_ERROR(fake_.Exit(spec.id, effect.code));
    return info;
  }
  absl::Status Signal(absl::string_view id, int signal) override {
    return fake_.Signal(id, signal);
  }
  absl::Status Kill(absl::string_view id) override { return fake_.Kill(id); }
  absl::Status Update(absl::string_view id,
                      const Resources& resources) override {
    return fake_.Update(id, resources);
  }
  absl::Status Remove(absl::string_view id) override {
    return fake_.Remove(id);
  }
  absl::StatusOr<ContainerInfo> Inspect(absl::string_view id) override {
    return fake_.Inspect(id);
  }
  std::vector<ContainerInfo> List() override { return fake_.List(); }
  absl::StatusOr<ContainerStats> Stats(absl::string_view id) override {
    return fake_.Stats(id);
  }
  absl::StatusOr<std::unique_ptr<ExecSession>> Exec(
      absl::string_view id, const ExecSpec& spec) override {
    return fake_.Exec(id, spec);
  }
  absl::StatusOr<std::unique_ptr<LogReader>> Logs(
      absl::string_view id, const LogOptions& options) override {
    return fake_.Logs(id, options);
  }

 private:
  absl::Mutex mu_;
  FakeEngine fake_;
};

class BuildFixture : public ::testing::Test {
 protected:
  BuildFixture() : engine_(clock_) {
    LocalImagesConfig config;
    config.state_dir = dir_ / "state";
    config.clock = &clock_;
    config.entropy = &entropy_;
    config.engine = &engine_;
    config.memory_dir = dir_ / "memory";
    EXPECT_OK(os::MakeDirs(config.memory_dir, 0700));
    auto opened = LocalImages::Open(config);
    EXPECT_OK(opened);
    images_ = *std::move(opened);
    request_.context_dir = dir_ / "context";
    request_.tags = {"app:1"};
    EXPECT_OK(os::MakeDirs(request_.context_dir, 0755));
  }

  void TearDown() override {
    EXPECT_THAT(os::ListDir(dir_ / "state/ingest"),
                ::bulwark::testing::IsOkAndHolds(::testing::IsEmpty()));
    EXPECT_THAT(os::ListDir(dir_ / "memory"),
                ::bulwark::testing::IsOkAndHolds(::testing::IsEmpty()));
    EXPECT_THAT(engine_.List(), ::testing::IsEmpty());
  }

  void Write(const std::string& name, const std::string& text,
             mode_t mode = 0644) {
    std::string path = absl::StrCat(request_.context_dir, "/", name);
    ASSERT_OK(os::MakeDirs(path.substr(0, path.rfind('/')), 0755));
    ASSERT_OK(os::WriteFileDurably(path, text, mode));
  }

  absl::StatusOr<Image> Build(const std::string& dockerfile) {
    Write("Dockerfile", dockerfile);
    progress_.clear();
    return images_->Build(request_, [this](const Progress& p) {
      progress_.push_back(p);
      return true;
    });
  }

  // How many steps came from the cache.
  int CachedSteps() const {
    int n = 0;
    for (const Progress& p : progress_) n += p.status == "cached";
    return n;
  }
  std::vector<std::string> Output() const {
    std::vector<std::string> lines;
    for (const Progress& p : progress_) lines.push_back(p.output);
    return lines;
  }

  // A file of the image, from its topmost layer.
  static absl::StatusOr<std::string> Read(const Image& image,
                                          const std::string& path) {
    for (auto it = image.layers.rbegin(); it != image.layers.rend(); ++it) {
      auto text = os::ReadFile(absl::StrCat(*it, "/", path), 1 << 20);
      if (text.ok()) return text;
    }
    return absl::NotFoundError(path);
  }
  static struct stat Stat(const Image& image, const std::string& path) {
    struct stat st = {};
    for (auto it = image.layers.rbegin(); it != image.layers.rend(); ++it) {
      if (lstat(absl::StrCat(*it, "/", path).c_str(), &st) == 0) return st;
    }
    ADD_FAILURE() << "no " << path;
    return st;
  }

  ::bulwark::testing::TempDir dir_;
  RealClock clock_;
  SeededEntropy entropy_{3};
  ScriptedEngine engine_;
  BuildRequest request_;
  std::vector<Progress> progress_;
  std::unique_ptr<LocalImages> images_;
};

}  // namespace bulwark::engine::testing

#endif  // ENGINE_BUILD_TESTING_BUILD_FIXTURE_H_
