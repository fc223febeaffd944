#include "scheduler/imageupdate/plan.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "scheduler/rollout/template.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

constexpr absl::Duration kFirstRetry = absl::Minutes(1);
// While a rollout runs.
constexpr absl::Duration kBusyPoll = absl::Seconds(5);
constexpr absl::Duration kMostSpread = absl::Minutes(5);
constexpr size_t kMaxError = 1000;
constexpr size_t kDigestShown = 19;  // "sha256:" and twelve digits

// FNV-1a: equal in every process, which absl::Hash is not.
double FractionOf(absl::string_view text) {
  uint64_t hash = 14695981039346656037u;
  for (unsigned char c : text) hash = (hash ^ c) * 1099511628211u;
  return static_cast<double>(hash >> 11) * 0x1p-53;
}

double FractionAt(const v1::Service& service, absl::Time time) {
  return FractionOf(
      absl::StrCat(service.metadata().uid(), "/", absl::ToUnixSeconds(time)));
}

const v1::ImageUpdateStatus& StatusOf(const ImageUpdateView& view) {
  return view.service.status().image_update();
}

std::string DigestIn(const v1::Revision& revision, const std::string& image) {
  const auto it = revision.image_digests().find(image);
  return it == revision.image_digests().end() ? "" : it->second;
}

// Revisions of the declared template, the newest first.
std::vector<const v1::Revision*> Line(const ImageUpdateView& view) {
  std::vector<const v1::Revision*> line;
  for (const v1::Revision& r : view.revisions) {
    if (SameTemplate(r.template_(), view.declared)) line.push_back(&r);
  }
  std::sort(line.begin(), line.end(),
            [](const v1::Revision* a, const v1::Revision* b) {
              return a->number() > b->number();
            });
  return line;
}

// Whether a revision that is kept has tried this digest and came back. One that
// another revision runs well is not what was wrong.
bool CameBack(const std::vector<const v1::Revision*>& line,
              const std::string& image, const std::string& digest) {
  bool failed = false;
  for (const v1::Revision* r : line) {
    if (DigestIn(*r, image) != digest) continue;
    if (r->failure().empty() && r->good()) return false;
    failed = failed || !r->failure().empty();
  }
  return failed;
}

// What runs, or would if the newest had not failed.
const v1::Revision* BaseOf(const std::vector<const v1::Revision*>& line) {
  for (const v1::Revision* r : line) {
    if (r->failure().empty() && (r->good() || r == line.front())) return r;
  }
  return line.empty() ? nullptr : line.front();
}

bool IsRolling(const ImageUpdateView& view,
               const std::vector<const v1::Revision*>& line) {
  const v1::Revision* newest = line.empty() ? nullptr : line.front();
  return newest == nullptr ||
         (newest->failure().empty() && !newest->has_complete_time());
}

// When the window that is open lets this service begin.
absl::Time TurnInWindow(const ImageUpdateView& view, absl::Time opening) {
  if (opening == absl::InfinitePast() || opening == absl::InfiniteFuture()) {
    return opening;
  }
  return opening + std::min(view.window.duration() / 10, kMostSpread) *
                       FractionAt(view.service, opening);
}

absl::Duration WaitAfter(const ImageUpdateView& view) {
  const absl::Duration interval =
      UpdateIntervalOf(view.service.spec().image_update());
  const absl::Time last = ToTime(StatusOf(view).check_time());
  const double fraction = FractionAt(view.service, last);
  absl::Duration wait = interval;
  if (!StatusOf(view).error().empty()) {
    const int doublings = std::clamp(view.failures - 1, 0, 20);
    wait = std::min(interval, kFirstRetry * (int64_t{1} << doublings));
  }
  return wait * (0.9 + 0.2 * fraction);
}

}  // namespace

absl::Duration UpdateIntervalOf(const v1::ImageUpdate& update) {
  if (!update.has_interval()) return kDefaultUpdateInterval;
  return std::max(kLeastUpdateInterval, ToDuration(update.interval()));
}

std::vector<std::string> FollowedImages(const v1::Template& declared) {
  std::set<std::string> images, left_alone;
  for (const v1::Container* c : ContainersOf(declared)) {
    if (absl::StrContains(c->image(), '@') ||
        c->pull() == v1::Container::NEVER) {
      left_alone.insert(c->image());
    } else {
      images.insert(c->image());
    }
  }
  for (const std::string& image : left_alone) images.erase(image);
  return {images.begin(), images.end()};
}

LookupPlan PlanLookup(const ImageUpdateView& view) {
  LookupPlan plan;
  const auto line = Line(view);
  // The resolver is at it.
  if (line.empty()) return plan;
  const v1::ImageUpdateStatus& status = StatusOf(view);
  const absl::Time last = ToTime(status.check_time());
  const absl::Time next = last == absl::InfinitePast() || last > view.now
                              ? view.now
                              : last + WaitAfter(view);
  absl::Time turn = absl::InfiniteFuture();
  if (!status.pending().empty()) {
    if (view.window.IsOpen(view.now)) {
      const absl::Time opened =
          TurnInWindow(view, view.window.OpenedAt(view.now));
      // It was looked at in this window already: what waits is the rollout, or
      // a registry that failed.
      turn = IsRolling(view, line) ? view.now + kBusyPoll
             : !status.error().empty() && last >= opened
                 ? next
                 : std::max(opened, view.now);
    } else {
      turn = TurnInWindow(view, view.window.NextOpening(view.now));
    }
  }
  plan.wake_at = std::min(next, turn);
  plan.due = plan.wake_at <= view.now;
  return plan;
}

v1::ImageUpdateStatus CurrentStatus(const ImageUpdateView& view) {
  v1::ImageUpdateStatus status = StatusOf(view);
  const std::vector<std::string> images = FollowedImages(view.declared);
  for (auto* map : {status.mutable_pending(), status.mutable_rejected()}) {
    for (auto it = map->begin(); it != map->end();) {
      const bool followed =
          std::binary_search(images.begin(), images.end(), it->first);
      it = followed ? std::next(it) : map->erase(it);
    }
  }
  auto line = Line(view);
  const v1::Revision* base = BaseOf(line);
  std::reverse(line.begin(), line.end());
  for (const v1::Revision* r : line) {
    if (r->failure().empty()) continue;
    for (const std::string& image : images) {
      const std::string digest = DigestIn(*r, image);
      if (digest.empty() || digest == DigestIn(*base, image) ||
          !CameBack(line, image, digest)) {
        continue;
      }
      (*status.mutable_rejected())[image] = digest;
    }
  }
  // What came back, or is there meanwhile, does not wait.
  for (auto it = status.mutable_pending()->begin();
       it != status.mutable_pending()->end();) {
    const auto rejected = status.rejected().find(it->first);
    const bool over =
        (rejected != status.rejected().end() &&
         rejected->second == it->second) ||
        (base != nullptr && DigestIn(*base, it->first) == it->second);
    it = over ? status.mutable_pending()->erase(it) : std::next(it);
  }
  return status;
}

ImageUpdatePlan PlanImageUpdate(const ImageUpdateView& view,
                                const Lookups& lookups) {
  ImageUpdatePlan plan;
  plan.status = CurrentStatus(view);
  SetTime(plan.status.mutable_check_time(), view.now);
  plan.status.clear_error();
  const auto line = Line(view);
  const v1::Revision* base = BaseOf(line);
  if (base == nullptr) return plan;
  plan.base = base->number();
  plan.digests.insert(base->image_digests().begin(),
                      base->image_digests().end());
  Digests changes;
  // The status names but the last that came back; a tag may go to and fro.
  for (const auto& [image, found] : lookups) {
    if (!found.ok()) {
      if (plan.status.error().empty()) {
        plan.status.set_error(
            std::string(found.status().message().substr(0, kMaxError)));
      }
      continue;
    }
    const auto rejected = plan.status.rejected().find(image);
    const bool came_back = (rejected != plan.status.rejected().end() &&
                            rejected->second == *found) ||
                           CameBack(line, image, *found);
    if (came_back || DigestIn(*base, image) == *found) {
      plan.status.mutable_pending()->erase(image);
      continue;
    }
    changes[image] = *found;
  }
  for (const auto& [image, digest] : changes) {
    (*plan.status.mutable_pending())[image] = digest;
  }
  if (changes.empty() || !plan.status.error().empty() ||
      !view.window.IsOpen(view.now) || IsRolling(view, line)) {
    return plan;
  }
  for (const auto& [image, digest] : changes) plan.digests[image] = digest;
  plan.changes = std::move(changes);
  return plan;
}

std::string InWords(const Digests& changes) {
  return absl::StrJoin(changes, ", ", [](std::string* out, const auto& change) {
    absl::StrAppend(out, change.first, " is now ",
                    change.second.substr(0, kDigestShown));
  });
}

}  // namespace bulwark::scheduler
