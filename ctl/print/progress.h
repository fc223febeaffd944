// Progress of pulls and builds.
#ifndef CTL_PRINT_PROGRESS_H_
#define CTL_PRINT_PROGRESS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"
#include "ctl/io.h"
#include "proto/bulwark/v1/api.pb.h"

namespace bulwark::ctl {

// Draws one bar for each layer and redraws in place on a terminal; in a pipe
// it prints a line for each change of status. Writes to standard error.
// Thread-compatible.
class ProgressPrinter {
 public:
  ProgressPrinter(Io& io, Clock& clock, bool quiet)
      : io_(io), clock_(clock), quiet_(quiet) {}

  void Update(const v1::ImageProgress& progress);

  // Draws the last state; nothing moves any more.
  void Finish();

  // The results of the last message that had any.
  const std::vector<v1::ImageInfo>& images() const { return images_; }

  // "layer  [=====>    ]  4.1 MB / 9 MB" in `columns`, and with a rate, in
  // bytes a second: "  1.2 MB/s  4s".
  static std::string Bar(const v1::ImageProgress& progress, int columns,
                         double rate = 0);

 private:
  // When a line's counter began, and where.
  struct Start {
    absl::Duration time;
    int64_t bytes = 0;
  };
  void Draw();
  void Erase();
  v1::ImageProgress* Find(const std::string& id);
  double RateOf(const v1::ImageProgress& line) const;

  Io& io_;
  Clock& clock_;
  const bool quiet_;
  std::vector<v1::ImageProgress> lines_;
  std::map<std::string, Start> starts_;
  std::vector<v1::ImageInfo> images_;
  int drawn_ = 0;
  absl::Duration last_draw_ = -absl::InfiniteDuration();
};

}  // namespace bulwark::ctl

#endif  // CTL_PRINT_PROGRESS_H_
