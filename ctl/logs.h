// What containers print.
#ifndef CTL_LOGS_H_
#define CTL_LOGS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "ctl/context.h"

namespace bulwark::ctl {

struct LogsFlags {
  // A service, job or replica: NAME or KIND/NAME.
  std::string target;
  std::string container;
  std::string since;
  std::string until;
  int64_t tail = -1;
  bool follow = false;
  bool previous = false;
  bool timestamps = false;
  bool prefix = false;
};

absl::StatusOr<int> PrintLogs(Context& context, const LogsFlags& flags);

}  // namespace bulwark::ctl

#endif  // CTL_LOGS_H_
