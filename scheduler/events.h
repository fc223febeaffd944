// What the scheduler did and saw, for people.
#ifndef SCHEDULER_EVENTS_H_
#define SCHEDULER_EVENTS_H_

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "scheduler/planned_event.h"
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

// Writes Event objects with the actor "system", alone or with what they tell
// of. An event that repeats within an hour (same subject, reason and message)
// is counted, not written anew. Each project keeps its newest `max_per_project`
// events. A failing store costs events, never the work that they tell of: the
// failure is logged. Events are not fsynced. Thread-safe.
class EventRecorder {
 public:
  // The references must outlive this object.
  EventRecorder(store::MetadataStore& store, Clock& clock, Entropy& entropy,
                size_t max_per_project = 1000);

  void Record(const v1::ObjectReference& subject, absl::string_view reason,
              absl::string_view message,
              v1::Event::Severity severity = v1::Event::NORMAL);
  // All of them in one commit.
  void RecordAll(const v1::ObjectReference& subject,
                 const std::vector<PlannedEvent>& events);

  // Events in somebody's batch. Destroyed before Committed(), they were not
  // written. Must not outlive the recorder.
  class Staged {
   public:
    // `recorder` null: there is nothing to write.
    Staged(EventRecorder* recorder, std::string project)
        : recorder_(recorder), project_(std::move(project)) {}
    Staged(const Staged&) = delete;
    Staged& operator=(const Staged&) = delete;
    ~Staged() {
      if (recorder_ != nullptr) recorder_->Reload(project_);
    }
    void Committed() { recorder_ = nullptr; }

   private:
    EventRecorder* recorder_;
    const std::string project_;
  };
  // Adds the events to `batch`, which the caller commits at once.
  Staged Stage(const v1::ObjectReference& subject,
               const std::vector<PlannedEvent>& events, store::Batch& batch);

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
  // What is remembered of the project may not be what is stored.
  void Reload(const std::string& project);
  void Load(const std::string& name, Project& project)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  v1::Event& FindOrAdd(Project& project, v1::Event event, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What happens to events in one commit: their new bytes, or none.
  using Rows = std::map<std::string, std::optional<std::string>>;
  void Trim(Project& project, Rows& rows) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  store::MetadataStore& store_;
  Clock& clock_;
  Entropy& entropy_;
  const size_t max_;

  absl::Mutex mu_;
  std::map<std::string, Project> projects_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_EVENTS_H_
