// How each kind looks in a table.
#ifndef CTL_PRINT_COLUMNS_H_
#define CTL_PRINT_COLUMNS_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "manifest/kinds.h"
#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::ctl {

struct TableForm {
  // More columns.
  bool wide = false;
  // A PROJECT column first: the objects are of several.
  bool projects = false;
};

// The header and the cells of one object; equally many.
std::vector<std::string> HeaderOf(const manifest::Kind& kind,
                                  const TableForm& form);
std::vector<std::string> RowOf(const v1::Object& object, const TableForm& form,
                               absl::Time now);

// One word on how a service does and, if it is not well, why: "Available",
// "Progressing", "CrashLoop", "ImageNotFound", "Stopped", …
std::string ServiceState(const v1::Service& service);

// The sentence that goes with it; empty if all is well.
std::string ServiceMessage(const v1::Service& service);

// "running", "failed", … or "completed"; why, if it is not well; failures in a
// row before this replica, and restarts of its sidecars.
std::string ReplicaState(const v1::Replica& replica);
std::string ReplicaMessage(const v1::Replica& replica);
int ReplicaRestarts(const v1::Replica& replica);

// "Complete", "Running", "Pending", … or why it does not run or has failed.
std::string JobState(const v1::Job& job);

}  // namespace bulwark::ctl

#endif  // CTL_PRINT_COLUMNS_H_
