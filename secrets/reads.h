// Who is given which values of secrets, for the record.
#ifndef SECRETS_READS_H_
#define SECRETS_READS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace bulwark::secrets {

// One container, and the versions that it is about to find. Never values.
struct SecretReads {
  std::string project;
  std::string owner_kind;  // "service", "job"
  std::string owner;
  int64_t slot = 0;
  std::string replica;
  std::string container;
  std::vector<std::pair<std::string, int64_t>> secrets;  // name, version
};

// Returns OK when it is on record, durably; an error, whatever its code: it is
// not, and the container must not have the values. From several threads;
// blocks for the disk.
using RecordReads = std::function<absl::Status(const SecretReads&)>;

}  // namespace bulwark::secrets

#endif  // SECRETS_READS_H_
