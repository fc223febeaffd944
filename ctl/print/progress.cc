#include "ctl/print/progress.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "ctl/print/text.h"

namespace bulwark::ctl {
namespace {

constexpr absl::Duration kRedraw = absl::Milliseconds(100);
constexpr int kLabelWidth = 14;
constexpr int kStatusWidth = 12;
constexpr int kMinBar = 10;

// "a1b2c3d4e5f6" of a digest; a step's "3/7" or an image's name as it is.
std::string Label(absl::string_view id) {
  if (absl::ConsumePrefix(&id, "sha256:")) id = id.substr(0, 12);
  return std::string(id);
}

}  // namespace

std::string ProgressPrinter::Bar(const v1::ImageProgress& progress, int columns,
                                 double rate) {
  std::string line =
      absl::StrFormat("%-*s %-*s", kLabelWidth, Label(progress.id()),
                      kStatusWidth, progress.status());
  if (progress.total() <= 0) {
    if (progress.current() > 0) {
      absl::StrAppend(&line, " ", HumanSize(progress.current()));
    }
    return line;
  }
  const double share = std::clamp(static_cast<double>(progress.current()) /
                                      static_cast<double>(progress.total()),
                                  0.0, 1.0);
  std::string amount = absl::StrCat(HumanSize(progress.current()), " / ",
                                    HumanSize(progress.total()));
  if (rate > 0 && progress.current() < progress.total()) {
    const double left =
        static_cast<double>(progress.total() - progress.current()) / rate;
    absl::StrAppend(&amount, "  ", HumanSize(static_cast<int64_t>(rate)),
                    "/s  ", ShortDuration(absl::Seconds(left)));
  }
  const int width =
      std::min<int>(40, columns - static_cast<int>(line.size()) - 4 -
                            static_cast<int>(amount.size()) - 1);
  if (width >= kMinBar) {
    const int filled = static_cast<int>(share * width);
    absl::StrAppend(&line, " [", std::string(filled, '='),
                    filled < width ? ">" : "",
                    std::string(std::max(0, width - filled - 1), ' '), "]");
  }
  return absl::StrCat(line, " ", amount);
}

v1::ImageProgress* ProgressPrinter::Find(const std::string& id) {
  for (v1::ImageProgress& line : lines_) {
    if (line.id() == id) return &line;
  }
  return nullptr;
}

void ProgressPrinter::Update(const v1::ImageProgress& progress) {
  if (progress.images_size() > 0) {
    images_.assign(progress.images().begin(), progress.images().end());
  }
  if (quiet_) return;
  if (!progress.output().empty()) {
    Erase();
    io_.Err(absl::StrCat(progress.output(),
                         absl::EndsWith(progress.output(), "\n") ? "" : "\n"));
  }
  if (progress.id().empty() && progress.status().empty()) {
    if (io_.err_tty()) Draw();
    return;
  }
  v1::ImageProgress* line = Find(progress.id());
  if (line == nullptr || line->status() != progress.status() ||
      progress.current() < line->current()) {
    starts_[progress.id()] = {clock_.Steady(), progress.current()};
  }
  const bool news = line == nullptr || line->status() != progress.status();
  if (line == nullptr) {
    lines_.push_back(progress);
  } else {
    *line = progress;
  }
  if (!io_.err_tty()) {
    if (!news) return;
    const std::string label = Label(progress.id());
    io_.Err(absl::StrCat(label, label.empty() ? "" : ": ", progress.status(),
                         "\n"));
    return;
  }
  if (!news && clock_.Steady() - last_draw_ < kRedraw) return;
  Erase();
  Draw();
}

// Since its counter began; 0 while that is too short to say.
double ProgressPrinter::RateOf(const v1::ImageProgress& line) const {
  const auto start = starts_.find(line.id());
  if (start == starts_.end()) return 0;
  const absl::Duration took = clock_.Steady() - start->second.time;
  if (took < absl::Milliseconds(500)) return 0;
  return static_cast<double>(line.current() - start->second.bytes) /
         absl::ToDoubleSeconds(took);
}

// The lines are redrawn from the first: the cursor stands below the last.
void ProgressPrinter::Draw() {
  last_draw_ = clock_.Steady();
  const int rows = std::max(1, io_.rows() - 1);
  const int columns = std::max(20, io_.columns());
  const int first = std::max<int>(0, static_cast<int>(lines_.size()) - rows);
  std::string out;
  for (size_t i = first; i < lines_.size(); ++i) {
    absl::StrAppend(
        &out, Bar(lines_[i], columns, RateOf(lines_[i])).substr(0, columns - 1),
        "\n");
  }
  drawn_ = static_cast<int>(lines_.size()) - first;
  io_.Err(out);
}

void ProgressPrinter::Erase() {
  if (drawn_ > 0) io_.Err(absl::StrCat("\x1b[", drawn_, "A\x1b[J"));
  drawn_ = 0;
}

void ProgressPrinter::Finish() {
  if (quiet_ || !io_.err_tty() || lines_.empty()) return;
  Erase();
  Draw();
}

}  // namespace bulwark::ctl
