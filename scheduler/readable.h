// What programs print, made fit for records and people.
#ifndef SCHEDULER_READABLE_H_
#define SCHEDULER_READABLE_H_

#include <string>

#include "absl/strings/string_view.h"

namespace bulwark::scheduler {

// Lines of logs and answers to probes are bytes; a record takes only UTF-8, and
// people only what they can read. Ends of lines and tabs become spaces,
// everything else '?'. Pure.
std::string Readable(absl::string_view bytes);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_READABLE_H_
