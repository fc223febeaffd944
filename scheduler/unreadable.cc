#include "scheduler/unreadable.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "scheduler/services/reader.h"

namespace bulwark::scheduler {

void TellUnreadable(const store::Change& change, const absl::Status& why,
                    EventRecorder& events) {
  if (change.op != store::Change::Op::kPut) return;
  LOG_ERROR(
      "a record cannot be read; it is left as it is, and nothing is done "
      "about what it describes",
      {{"key", change.key.ToString()}, {"cause", why}});
  v1::ObjectReference subject;
  subject.set_kind(change.key.kind);
  subject.set_project(change.key.project);
  subject.set_name(change.key.name);
  // Its name does not tell a job's replica from a service's.
  if (change.key.kind == "replica") {
    subject.set_kind("service");
    subject.set_name(OwnerInName(change.key));
  }
  events.Record(subject, "RecordUnreadable",
                absl::StrCat("the record ", change.key.ToString(),
                             " cannot be read: it is left as it is, and "
                             "nothing is done about what it describes"),
                v1::Event::WARNING);
}

}  // namespace bulwark::scheduler
