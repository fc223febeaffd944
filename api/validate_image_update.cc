#include "api/validate_image_update.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "api/convert.h"
#include "api/rules.h"
#include "base/cron.h"

namespace bulwark::api {
namespace {

constexpr absl::Duration kLeast = absl::Minutes(1);
constexpr absl::Duration kMostInterval = absl::Hours(24 * 31);
constexpr absl::Duration kMostWindow = absl::Hours(24 * 7);

const Rule<v1::ImageUpdate> kRules[] = {
    {"interval",
     [](const v1::ImageUpdate& u) {
       return !u.has_interval() || ToDuration(u.interval()) >= kLeast;
     },
     "is below 1m", "registries do not like to be asked more often"},
    {"interval",
     [](const v1::ImageUpdate& u) {
       return ToDuration(u.interval()) <= kMostInterval;
     },
     "is above 744h", "look at least once a month"},
};

const Rule<v1::UpdateWindow> kWindowRules[] = {
    {"duration",
     [](const v1::UpdateWindow& w) {
       return !w.has_duration() || ToDuration(w.duration()) >= kLeast;
     },
     "is below 1m", "give the update time to begin"},
    {"duration",
     [](const v1::UpdateWindow& w) {
       return ToDuration(w.duration()) <= kMostWindow;
     },
     "is above 168h", "leave the window out to update at any time"},
};

bool IsFollowed(const v1::Container& container) {
  return !absl::StrContains(container.image(), "@") &&
         container.pull() != v1::Container::NEVER;
}

}  // namespace

void ValidateImageUpdate(const v1::ServiceSpec& spec, Report& report) {
  if (!spec.has_image_update()) return;
  const v1::ImageUpdate& update = spec.image_update();
  constexpr char kPath[] = "spec.imageUpdate";
  CheckRules<v1::ImageUpdate>(update, kRules, kPath, report);
  if (!update.has_window()) return;
  const v1::UpdateWindow& window = update.window();
  const std::string path = JoinPath(kPath, "window");
  CheckRules<v1::UpdateWindow>(window, kWindowRules, path, report);
  if (!window.schedule().empty()) {
    const absl::Status status = CronSchedule::Parse(window.schedule()).status();
    if (!status.ok()) {
      report.Invalid(JoinPath(path, "schedule"), std::string(status.message()),
                     "write minute, hour, day of the month, month and day of "
                     "the week, such as \"0 3 * * *\" for 3:00 every day");
    }
  }
  const absl::Status zone = FindTimeZone(window.time_zone()).status();
  if (!zone.ok()) {
    report.Invalid(JoinPath(path, "timeZone"), std::string(zone.message()),
                   "write it like Europe/Berlin or UTC; package tzdata brings "
                   "the zones");
  }
}

std::string WarningOfImageUpdate(const v1::ServiceSpec& spec) {
  if (!spec.has_image_update()) return "";
  for (const auto* list :
       {&spec.containers(), &spec.init_containers(), &spec.sidecars()}) {
    if (std::any_of(list->begin(), list->end(), IsFollowed)) return "";
  }
  return "imageUpdate follows nothing: every image is named by its digest or "
         "has `pull: never`; name a tag, such as :1.4";
}

}  // namespace bulwark::api
