// Progress of builds, step by step.
#ifndef CTL_PRINT_BUILD_PROGRESS_H_
#define CTL_PRINT_BUILD_PROGRESS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "ctl/io.h"
#include "proto/bulwark/v1/api.pb.h"

namespace bulwark::ctl {

// Writes to standard error. Thread-compatible.
class BuildPrinter {
 public:
  enum class Mode {
    kQuiet,  // nothing
    kPlain,  // lines, each with its step: "#3/7 [build] hello"
    kTty,    // the same, above the steps that run, which are redrawn
    kJson,   // each message as one line of JSON
  };
  // "auto" (also empty), "plain", "tty", "json" or "quiet"; a usage error.
  static absl::StatusOr<Mode> ParseMode(absl::string_view text, const Io& io);

  BuildPrinter(Io& io, Clock& clock, Mode mode)
      : io_(io), clock_(clock), mode_(mode) {}

  void Update(const v1::ImageProgress& progress);
  // Draws the last state, and says what is questionable in the Dockerfile.
  void Finish();

  // The results of the last message that had any.
  const std::vector<v1::ImageInfo>& images() const { return images_; }

 private:
  struct Step {
    std::string label;  // "#3/7 [build]"
    std::string title;  // the instruction
    std::string status;
    absl::Duration began;
  };

  void Lines(const v1::ImageProgress& progress);
  void Print(absl::string_view text);
  void Draw();
  void Erase();

  Io& io_;
  Clock& clock_;
  const Mode mode_;
  std::map<std::string, Step> steps_;  // by stage and id
  std::vector<std::string> running_;   // their keys, oldest first
  std::vector<v1::ImageInfo> images_;
  std::vector<v1::BuildWarning> warnings_;
  int drawn_ = 0;
  absl::Duration last_draw_ = -absl::InfiniteDuration();
};

}  // namespace bulwark::ctl

#endif  // CTL_PRINT_BUILD_PROGRESS_H_
