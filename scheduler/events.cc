#include "scheduler/events.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/log.h"
#include "scheduler/times.h"
#include "store/objects.h"
#include "store/readable.h"

namespace bulwark::scheduler {
namespace {

constexpr absl::Duration kRepeatWindow = absl::Hours(1);
// Others write events too: look at the store again now and then.
constexpr int kReloadAfter = 200;

std::string EncodeEvent(const v1::Event& event) {
  v1::Object object;
  *object.mutable_event() = event;
  return store::Encode(object);
}

std::string ProjectOf(const v1::ObjectReference& subject) {
  return subject.project().empty() ? "default" : subject.project();
}

}  // namespace

v1::ObjectReference ReferenceTo(const v1::Service& service) {
  v1::ObjectReference r;
  r.set_kind("service");
  r.set_project(service.metadata().project());
  r.set_name(service.metadata().name());
  r.set_uid(service.metadata().uid());
  return r;
}

v1::ObjectReference ReferenceTo(const v1::Object& object) {
  const store::Key key = store::KeyOf(object);
  v1::ObjectReference r;
  r.set_kind(key.kind);
  r.set_project(key.project);
  r.set_name(key.name);
  r.set_uid(store::MetadataOf(object).uid());
  return r;
}

EventRecorder::EventRecorder(store::MetadataStore& store, Clock& clock,
                             Entropy& entropy, size_t max_per_project)
    : store_(store), clock_(clock), entropy_(entropy), max_(max_per_project) {}

EventRecorder::Identity EventRecorder::IdentityOf(const v1::Event& event) {
  const v1::ObjectReference& s = event.subject();
  return {s.kind(), s.name(), s.uid(), event.reason(), event.message()};
}

void EventRecorder::Record(const v1::ObjectReference& subject,
                           absl::string_view reason, absl::string_view message,
                           v1::Event::Severity severity) {
  RecordAll(subject, {{std::string(reason), std::string(message), severity}});
}

void EventRecorder::RecordAll(const v1::ObjectReference& subject,
                              const std::vector<PlannedEvent>& events) {
  if (events.empty()) return;
  store::Batch batch;
  Staged staged = Stage(subject, events, batch);
  const absl::Status status = store_.Commit(batch.NotDurable()).status();
  if (status.ok()) return staged.Committed();
  for (const PlannedEvent& event : events) {
    LOG_WARN("event lost", {{"service", subject.name()},
                            {"reason", event.reason},
                            {"message", event.message},
                            {"cause", status}});
  }
}

EventRecorder::Staged EventRecorder::Stage(
    const v1::ObjectReference& subject, const std::vector<PlannedEvent>& events,
    store::Batch& batch) {
  const std::string project = ProjectOf(subject);
  if (events.empty()) return Staged(nullptr, project);
  const absl::Time now = clock_.Now();
  Rows rows;
  {
    absl::MutexLock lock(&mu_);
    Project& p = projects_[project];
    for (const PlannedEvent& planned : events) {
      if (!p.loaded || p.since_load >= kReloadAfter) Load(project, p);
      ++p.since_load;
      v1::Event event;
      *event.mutable_subject() = subject;
      event.set_reason(planned.reason);
      event.set_message(planned.message);
      event.set_severity(planned.severity);
      event.mutable_actor()->set_name("system");
      event.mutable_metadata()->set_project(project);
      v1::Event& written = FindOrAdd(p, std::move(event), now);
      written.set_count(written.count() + 1);
      SetTime(written.mutable_last_time(), now);
      rows[written.metadata().name()] = EncodeEvent(written);
    }
    Trim(p, rows);
  }
  for (auto& [name, bytes] : rows) {
    store::Key key = store::ObjectKey("event", project, name);
    if (bytes.has_value()) {
      batch.Put(std::move(key), *std::move(bytes));
    } else {
      batch.Delete(std::move(key));
    }
  }
  return Staged(this, project);
}

void EventRecorder::Reload(const std::string& project) {
  absl::MutexLock lock(&mu_);
  projects_[project].loaded = false;
}

void EventRecorder::Load(const std::string& name, Project& project) {
  auto listing = store::ListReadable(store_, "event", name);
  if (!listing.ok()) return;
  project = Project();
  project.loaded = true;
  for (v1::Object& object : listing->objects) {
    v1::Event& event = *object.mutable_event();
    project.newest[IdentityOf(event)] = event.metadata().name();
    project.events[event.metadata().name()] = std::move(event);
  }
}

v1::Event& EventRecorder::FindOrAdd(Project& project, v1::Event event,
                                    absl::Time now) {
  std::string& name = project.newest[IdentityOf(event)];
  auto it = project.events.find(name);
  if (it != project.events.end() &&
      now - ToTime(it->second.last_time()) < kRepeatWindow) {
    return it->second;
  }
  v1::Metadata& metadata = *event.mutable_metadata();
  metadata.set_uid(NewUid(entropy_));
  metadata.set_name(absl::StrFormat("%016x-%s", absl::ToUnixMicros(now),
                                    metadata.uid().substr(0, 8)));
  SetTime(metadata.mutable_create_time(), now);
  SetTime(event.mutable_first_time(), now);
  name = metadata.name();
  return project.events[name] = std::move(event);
}

void EventRecorder::Trim(Project& project, Rows& rows) {
  while (project.events.size() > max_) {
    auto oldest = project.events.begin();
    rows[oldest->first] = std::nullopt;
    auto newest = project.newest.find(IdentityOf(oldest->second));
    if (newest != project.newest.end() && newest->second == oldest->first) {
      project.newest.erase(newest);
    }
    project.events.erase(oldest);
  }
}

}  // namespace bulwark::scheduler
