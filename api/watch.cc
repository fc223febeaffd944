#include "api/watch.h"

#include <memory>
#include <utility>
#include <vector>

#include "api/fields.h"
#include "api/stopper.h"
#include "base/status.h"
#include "store/objects.h"
#include "store/readable.h"

namespace bulwark::api {

absl::StatusOr<uint64_t> WatchStream::SendExisting(Send send, Warn warn) {
  ASSIGN_OR_RETURN(store::ReadableListing listing,
                   store::ListReadable(store_, selection_.filter()));
  std::vector<store::Key> unreadable;
  for (const store::Unreadable& bad : listing.unreadable) {
    const v1::Object plate = store::Nameplate(bad.record.key);
    if (!visible_(plate) ||
        (!selection_.DependsOnContent() && !selection_.Matches(plate))) {
      continue;
    }
    unreadable.push_back(bad.record.key);
  }
  warn(unreadable);
  v1::WatchEvent event;
  event.set_revision(static_cast<int64_t>(listing.revision));
  event.set_type(v1::WatchEvent::ADDED);
  for (v1::Object& object : listing.objects) {
    if (!selection_.Matches(object) || !visible_(object)) continue;
    if (selection_.DependsOnContent()) in_.insert(store::KeyOf(object));
    ClearInputOnly(object);
    *event.mutable_object() = std::move(object);
    if (!send(event)) {
      gone_ = true;
      return listing.revision;
    }
  }
  event.set_type(v1::WatchEvent::SYNCED);
  event.clear_object();
  gone_ = !send(event);
  return listing.revision;
}

v1::WatchEvent::Type WatchStream::TypeOfPut(const store::Change& change,
                                            const v1::Object& object) {
  const bool matches = selection_.Matches(object);
  if (!selection_.DependsOnContent()) {
    if (!matches) return v1::WatchEvent::TYPE_UNSPECIFIED;
    return change.created ? v1::WatchEvent::ADDED : v1::WatchEvent::MODIFIED;
  }
  const bool may_be_known =
      in_.count(change.key) > 0 ||
      (resumed_ && !change.created && out_.count(change.key) == 0);
  if (matches) {
    out_.erase(change.key);
    in_.insert(change.key);
    return may_be_known ? v1::WatchEvent::MODIFIED : v1::WatchEvent::ADDED;
  }
  in_.erase(change.key);
  if (resumed_) out_.insert(change.key);
  return may_be_known ? v1::WatchEvent::DELETED
                      : v1::WatchEvent::TYPE_UNSPECIFIED;
}

bool WatchStream::SendUnreadable(const store::Change& change, Send send) {
  v1::Object plate = store::Nameplate(change.key);
  const bool was_in = selection_.DependsOnContent() ? in_.count(change.key) > 0
                                                    : selection_.Matches(plate);
  in_.erase(change.key);
  out_.erase(change.key);
  const bool created = change.op == store::Change::Op::kPut && change.created;
  if (!was_in || created || !visible_(plate)) return true;
  v1::WatchEvent event;
  event.set_revision(static_cast<int64_t>(change.revision));
  event.set_type(v1::WatchEvent::DELETED);
  *event.mutable_object() = std::move(plate);
  return send(event);
}

absl::StatusOr<bool> WatchStream::SendChange(const store::Change& change,
                                             Send send) {
  const bool is_put = change.op == store::Change::Op::kPut;
  absl::StatusOr<v1::Object> decoded = store::Decode(
      change.key, is_put ? change.value : change.previous, change.revision);
  if (!decoded.ok()) return SendUnreadable(change, send);
  v1::Object& object = *decoded;
  if (!visible_(object)) return true;
  v1::WatchEvent event;
  event.set_revision(static_cast<int64_t>(change.revision));
  if (is_put) {
    event.set_type(TypeOfPut(change, object));
  } else {
    const bool matched = selection_.Matches(object);
    in_.erase(change.key);
    out_.erase(change.key);
    event.set_type(matched ? v1::WatchEvent::DELETED
                           : v1::WatchEvent::TYPE_UNSPECIFIED);
  }
  if (event.type() == v1::WatchEvent::TYPE_UNSPECIFIED) return true;
  ClearInputOnly(object);
  *event.mutable_object() = std::move(object);
  return send(event);
}

absl::Status WatchStream::Run(int64_t from_revision, Send send, Done done,
                              Warn warn) {
  if (from_revision < 0) {
    return absl::InvalidArgumentError("watch: from_revision is negative");
  }
  resumed_ = from_revision > 0;
  uint64_t revision = static_cast<uint64_t>(from_revision);
  if (!resumed_) {
    ASSIGN_OR_RETURN(revision, SendExisting(send, warn));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<store::Watcher> watcher,
                   store_.Watch(revision, selection_.filter()));
  while (!gone_ && !done()) {
    ASSIGN_OR_RETURN(const std::vector<store::Change> changes,
                     watcher->Next(kCancelPoll));
    for (const store::Change& change : changes) {
      ASSIGN_OR_RETURN(const bool sent, SendChange(change, send));
      if (!sent) return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

}  // namespace bulwark::api
