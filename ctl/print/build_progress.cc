#include "ctl/print/build_progress.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "ctl/errors.h"
#include "ctl/print/text.h"

namespace bulwark::ctl {
namespace {

constexpr absl::Duration kRedraw = absl::Milliseconds(100);
// Of the steps that run, on a terminal.
constexpr size_t kMostDrawn = 8;

std::string Seconds(absl::Duration duration) {
  return absl::StrFormat("%.1fs", absl::ToDoubleSeconds(duration));
}

absl::Duration ElapsedOf(const v1::ImageProgress& progress) {
  return absl::Seconds(progress.elapsed().seconds()) +
         absl::Nanoseconds(progress.elapsed().nanos());
}

// "a1b2c3d4e5f6" of a digest.
std::string ShortId(absl::string_view id) {
  if (absl::ConsumePrefix(&id, "sha256:")) id = id.substr(0, 12);
  return std::string(id);
}

}  // namespace

absl::StatusOr<BuildPrinter::Mode> BuildPrinter::ParseMode(
    absl::string_view text, const Io& io) {
  if (text.empty() || text == "auto") {
    return io.err_tty() ? Mode::kTty : Mode::kPlain;
  }
  if (text == "plain") return Mode::kPlain;
  if (text == "tty") return Mode::kTty;
  if (text == "json" || text == "rawjson") return Mode::kJson;
  if (text == "quiet") return Mode::kQuiet;
  return UsageError(
      absl::StrCat("--progress ", text, ": auto, plain, tty, json or quiet"));
}

void BuildPrinter::Update(const v1::ImageProgress& progress) {
  if (progress.images_size() > 0) {
    images_.assign(progress.images().begin(), progress.images().end());
  }
  warnings_.insert(warnings_.end(), progress.warnings().begin(),
                   progress.warnings().end());
  switch (mode_) {
    case Mode::kQuiet:
      return;
    case Mode::kJson: {
      std::string line;
      // Plain values only: it cannot fail.
      (void)google::protobuf::util::MessageToJsonString(progress, &line);
      io_.Err(line + "\n");
      return;
    }
    case Mode::kPlain:
    case Mode::kTty:
      break;
  }
  const bool nothing = progress.id().empty() && progress.status().empty() &&
                       progress.output().empty();
  if (!nothing) Lines(progress);
  if (mode_ != Mode::kTty || clock_.Steady() - last_draw_ < kRedraw) return;
  Erase();
  Draw();
}

void BuildPrinter::Lines(const v1::ImageProgress& progress) {
  const std::string key = absl::StrCat(progress.stage(), "\n", progress.id());
  const auto [it, is_new] = steps_.try_emplace(key);
  Step& step = it->second;
  if (is_new) {
    step.label = progress.id().empty() ? "" : "#" + ShortId(progress.id());
    if (!progress.stage().empty()) {
      absl::StrAppend(&step.label, " [", progress.stage(), "]");
    }
    step.began = clock_.Steady();
  }
  const std::string before = step.label.empty() ? "" : step.label + " ";
  if (is_new && !progress.output().empty()) step.title = progress.output();
  if (!progress.output().empty()) {
    for (absl::string_view line :
         absl::StrSplit(absl::StripSuffix(progress.output(), "\n"), '\n')) {
      Print(absl::StrCat(before, line));
    }
  }
  if (step.status == progress.status()) return;
  step.status = progress.status();
  const bool ends = step.status == "done" || step.status == "cached";
  if (ends) {
    const absl::Duration took = ElapsedOf(progress);
    Print(absl::StrCat(before, step.status == "done" ? "DONE" : "CACHED",
                       took > absl::ZeroDuration() && step.status == "done"
                           ? " " + Seconds(took)
                           : ""));
    running_.erase(std::remove(running_.begin(), running_.end(), key),
                   running_.end());
    return;
  }
  if (is_new) running_.push_back(key);
  if (step.status != "running") Print(absl::StrCat(before, step.status));
}

void BuildPrinter::Print(absl::string_view text) {
  Erase();
  io_.Err(absl::StrCat(text, "\n"));
}

// The cursor stands below the last line.
void BuildPrinter::Draw() {
  last_draw_ = clock_.Steady();
  const size_t columns = std::max(20, io_.columns());
  const size_t most = std::min<size_t>(kMostDrawn, std::max(1, io_.rows() - 1));
  std::string out;
  drawn_ = 0;
  for (const std::string& key : running_) {
    if (static_cast<size_t>(drawn_) == most) break;
    const Step& step = steps_[key];
    std::string line =
        absl::StrCat("=> ", step.label, " ", Seconds(last_draw_ - step.began),
                     " ", step.title);
    line = line.substr(0, std::min(columns - 1, line.find('\n')));
    absl::StrAppend(&out, line, "\n");
    ++drawn_;
  }
  io_.Err(out);
}

void BuildPrinter::Erase() {
  if (drawn_ > 0) io_.Err(absl::StrCat("\x1b[", drawn_, "A\x1b[J"));
  drawn_ = 0;
}

void BuildPrinter::Finish() {
  Erase();
  if (mode_ == Mode::kJson || mode_ == Mode::kQuiet) return;
  for (const v1::BuildWarning& warning : warnings_) {
    std::string text =
        absl::StrCat("warning: ", warning.rule(), ": ", warning.message());
    if (warning.line() > 0) {
      absl::StrAppend(&text, " (line ", warning.line(), ")");
    }
    io_.Err(absl::StrCat(text, "\n"));
    if (!warning.excerpt().empty()) {
      io_.Err(
          absl::StrCat(warning.excerpt(),
                       absl::EndsWith(warning.excerpt(), "\n") ? "" : "\n"));
    }
  }
}

}  // namespace bulwark::ctl
