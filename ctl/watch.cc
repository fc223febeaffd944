#include "ctl/watch.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "manifest/kinds.h"

namespace bulwark::ctl {
namespace {

constexpr absl::Duration kPatience = absl::Minutes(1);

std::string KeyOf(const v1::Object& object) {
  const v1::Metadata& metadata = manifest::MetadataOf(object);
  return absl::StrCat(metadata.project(), "/", metadata.name());
}

}  // namespace

absl::Status AwaitDaemon(Context& context, const absl::Status& status,
                         absl::Time deadline) {
  absl::Status last = status;
  const absl::Time give_up = context.clock.Now() + kPatience;
  bool told = false;
  while (last.code() == absl::StatusCode::kUnavailable) {
    const absl::Time now = context.clock.Now();
    if (now >= deadline) {
      return absl::DeadlineExceededError("the daemon is away");
    }
    if (now >= give_up) return last;
    context.client().AwaitConnection();
    last = context.client().Version().status();
    if (last.code() == absl::StatusCode::kUnavailable && !told) {
      told = true;
      context.io.Err("warning: bulwarkd does not answer; waiting for it\n");
    }
  }
  if (last.ok() && told) context.io.Err("bulwarkd answers again\n");
  return last;
}

void ResumedWatch::Know(const std::vector<v1::Object>& objects) {
  for (const v1::Object& object : objects) known_[KeyOf(object)] = object;
  synced_ = true;
}

absl::Status ResumedWatch::Run(absl::Time deadline, const OnEvent& on_event) {
  while (true) {
    bool more = true;
    const absl::Status status = context_.client().Watch(
        request_, deadline, [&](const v1::WatchEvent& event) {
          more = Take(event, on_event);
          // Of a list that is not complete, no revision can be resumed.
          if (synced_ && !listing_again_) {
            request_.set_from_revision(event.revision());
          }
          return more;
        });
    if (!more) return absl::OkStatus();
    if (status.code() == absl::StatusCode::kOutOfRange) {
      request_.set_from_revision(0);
    } else if (!synced_ && known_.empty()) {
      return status;  // it never worked
    } else {
      RETURN_IF_ERROR(AwaitDaemon(context_, status, deadline));
    }
    // A list that broke off comes from its start.
    listing_again_ = request_.from_revision() == 0;
    listed_.clear();
  }
}

bool ResumedWatch::Take(const v1::WatchEvent& event, const OnEvent& on_event) {
  if (event.type() == v1::WatchEvent::SYNCED) {
    if (std::exchange(listing_again_, false) &&
        !TellGone(event.revision(), on_event)) {
      return false;
    }
    return std::exchange(synced_, true) || on_event(event);
  }
  const std::string key = KeyOf(event.object());
  const auto known = known_.find(key);
  if (event.type() == v1::WatchEvent::DELETED) {
    if (known != known_.end()) known_.erase(known);
    return on_event(event);
  }
  v1::WatchEvent told = event;
  if (listing_again_) {
    listed_.insert(key);
    if (known != known_.end()) {
      const v1::Metadata& before = manifest::MetadataOf(known->second);
      if (before.resource_version() ==
          manifest::MetadataOf(event.object()).resource_version()) {
        return true;
      }
      told.set_type(v1::WatchEvent::MODIFIED);
    }
  }
  known_[key] = event.object();
  return on_event(told);
}

// What the new list lacks has gone in the meantime.
bool ResumedWatch::TellGone(int64_t revision, const OnEvent& on_event) {
  for (auto it = known_.begin(); it != known_.end();) {
    if (listed_.count(it->first) > 0) {
      ++it;
      continue;
    }
    v1::WatchEvent event;
    event.set_type(v1::WatchEvent::DELETED);
    event.set_revision(revision);
    *event.mutable_object() = std::move(it->second);
    it = known_.erase(it);
    if (!on_event(event)) return false;
  }
  return true;
}

}  // namespace bulwark::ctl
