// What the scheduler did and saw, for people.
#ifndef SCHEDULER_EVENTS_H_
#define SCHEDULER_EVENTS_H_

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <tuple>

#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "store/store.h"

namespace bulwark::scheduler {

// A reference to a service, for its events and those of its replicas.
v1::ObjectReference ReferenceTo(const v1::Service& service);
// To the object itself.
v1::ObjectReference ReferenceTo(const v1::Object& object);

// What EventRecorder::Record takes, for those who only tell.
using TellEvent = std::function<void(
    const v1::ObjectReference& subject, absl::string_view reason,
    absl::string_view message, v1::Event::Severity severity)>;

// Writes Event objects with the actor "system". An event that repeats within
// an hour (same subject, reason and message) is counted, not written anew. Each
// project keeps its newest `max_per_project` events. A failing store costs
// events, never the work that they tell of: the failure is logged. Events are
// not fsynced. Thread-safe.
class EventRecorder {
 public:
  // The references must outlive this object.
  EventRecorder(store::MetadataStore& store, Clock& clock, Entropy& entropy,
                size_t max_per_project = 1000);

  void Record(const v1::ObjectReference& subject, absl::string_view reason,
              absl::string_view message,
              v1::Event::Severity severity = v1::Event::NORMAL);

 private:
  // Subject (kind, name, uid), reason, message.
  using Identity = std::tuple<std::string, std::string, std::string,
                              std::string, std::string>;
  struct Project {
    bool loaded = false;
    int since_load = 0;
    // By name, that is by time.
    std::map<std::string, v1::Event> events;
    std::map<Identity, std::string> newest;
  };

  static Identity IdentityOf(const v1::Event& event);
  void Load(const std::string& name, Project& project)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  v1::Event& FindOrAdd(Project& project, v1::Event event, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Trim(const std::string& name, Project& project, store::Batch& batch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  store::MetadataStore& store_;
  Clock& clock_;
  Entropy& entropy_;
  const size_t max_;

  absl::Mutex mu_;
  std::map<std::string, Project> projects_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_EVENTS_H_
