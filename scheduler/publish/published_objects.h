// What the publisher has read of the store.
#ifndef SCHEDULER_PUBLISH_PUBLISHED_OBJECTS_H_
#define SCHEDULER_PUBLISH_PUBLISHED_OBJECTS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "scheduler/publish/snapshot_builder.h"
#include "store/store.h"

namespace bulwark::scheduler {

// How soon a change should be published.
enum class Urgency {
  kNone,  // no snapshot shows it
  kSoon,  // nobody is connected to another replica for it
  kNow,   // a replica is ready, or is not any more
};

// Services, replicas, networks and volumes, decoded once: read as a whole, then
// kept in step by what a watch tells, so that a change costs what it changes.
// After Take() it holds all that was committed up to the last change taken, or
// something later. Thread-compatible.
class PublishedObjects {
 public:
  // `view` is the one to keep; only its objects are touched, and `unreadable`.
  explicit PublishedObjects(PublishView& view) : view_(view) {}

  // Reads everything anew. On an error it has to be read again.
  absl::Status Read(store::MetadataStore& store);

  // Changes of a watch that began before Read(), in order; what was read
  // already is passed over. The urgency of the most urgent: most only change a
  // status, or a replica that does not run yet.
  Urgency Take(const std::vector<store::Change>& changes);

 private:
  // The keys of a table of the view, sorted, one for each of its rows.
  using Keys = std::vector<store::Key>;

  // These return how urgent it is that what is published may be another now.
  template <typename T>
  static Urgency Set(const store::Key& key, T object, Keys& keys,
                     std::vector<T>& rows);
  template <typename T>
  static Urgency Erase(const store::Key& key, Keys& keys, std::vector<T>& rows);
  Urgency Put(const store::Key& key, absl::string_view value,
              uint64_t revision);
  Urgency Remove(const store::Key& key);
  // Whether that has changed.
  bool NoteReadable(const store::Key& key, bool readable);

  absl::Status ReadKind(store::MetadataStore& store, absl::string_view kind);

  PublishView& view_;
  std::map<std::string, uint64_t> read_;  // kind -> revision of its listing
  Keys services_, replicas_, networks_, volumes_;
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_PUBLISH_PUBLISHED_OBJECTS_H_
