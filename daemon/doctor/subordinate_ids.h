// Ids of the host that others hand out, too. Pure.
#ifndef DAEMON_DOCTOR_SUBORDINATE_IDS_H_
#define DAEMON_DOCTOR_SUBORDINATE_IDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace bulwark::daemon {

// The lines of subuid(5) or subgid(5) in `text` whose ids meet those from
// `first` to `end` - 1, each in words: "/etc/subuid gives max 1900000000 to
// 1900065535". What is no line of that form is left out, as by who reads it.
std::vector<std::string> SubordinateOverlaps(absl::string_view path,
                                             absl::string_view text,
                                             uint64_t first, uint64_t end);

}  // namespace bulwark::daemon

#endif  // DAEMON_DOCTOR_SUBORDINATE_IDS_H_
