#include "daemon/disk/collector.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/log.h"
#include "base/status.h"

namespace bulwark::daemon {
namespace {

constexpr size_t kNamed = 10;  // of what went, in the event

std::string Describe(const Collected& collected) {
  std::vector<std::string> first = collected.removed;
  if (first.size() > kNamed) first.resize(kNamed);
  return absl::StrCat(
      "the disk was ", collected.percent_before, " % full and is ",
      collected.percent_after, " % full; removed ", absl::StrJoin(first, ", "),
      collected.removed.size() > kNamed
          ? absl::StrCat(" and ", collected.removed.size() - kNamed, " more")
          : "");
}

}  // namespace

void ImageCollector::Start() {
  if (options_.marks.start_percent >= 100) return;
  thread_ = std::thread([this] { Loop(); });
}

void ImageCollector::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void ImageCollector::Loop() {
  std::string trouble;  // as last logged
  for (;;) {
    const absl::Status status = RunOnce();
    if (!status.ok() && status.ToString() != trouble) {
      LOG_WARN("cannot make room on the disk", {{"cause", status}});
    }
    trouble = status.ok() ? "" : status.ToString();
    absl::MutexLock lock(&mu_);
    if (clock_.AwaitUntil(mu_, absl::Condition(&stop_),
                          clock_.Steady() + options_.period)) {
      return;
    }
  }
}

absl::Status ImageCollector::RunOnce() {
  ASSIGN_OR_RETURN(const Collected collected, disk_.Collect(options_.marks));
  const bool too_full = collected.percent_after >= options_.marks.start_percent;
  if (!collected.removed.empty()) {
    const std::string message = Describe(collected);
    LOG_INFO("images were removed to make room", {{"cause", message}});
    if (tell_ != nullptr) tell_(true, message);
  }
  if (too_full && !complained_) {
    const std::string message = absl::StrCat(
        "the disk is ", collected.percent_after,
        " % full, and no image can go: all that are left are needed, were used "
        "a"
        " moment ago, or came from no registry; see `ctl system df`");
    LOG_WARN("the disk is too full", {{"cause", message}});
    if (tell_ != nullptr) tell_(false, message);
  }
  complained_ = too_full;
  return absl::OkStatus();
}

}  // namespace bulwark::daemon
