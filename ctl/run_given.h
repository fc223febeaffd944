// What ctl run gives a container beside its image, in Docker's words.
#ifndef CTL_RUN_GIVEN_H_
#define CTL_RUN_GIVEN_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ctl/command.h"
#include "proto/bulwark/v1/container.pb.h"

namespace bulwark::ctl {

struct GivenFlags {
  std::vector<std::string> devices;
  std::vector<std::string> ulimits;
  std::vector<std::string> tmpfs;
  std::string shm_size;
  std::string hostname;
  std::vector<std::string> hosts;
  std::vector<std::string> sysctls;
  std::string log_driver;
};

void AddGivenFlags(Command& command, GivenFlags& flags);

// Usage errors name the flag.
absl::Status FillGiven(const GivenFlags& flags, v1::Container& container);

// The flag that a field of the container comes from: "devices[0].path" is of
// "--device /dev/fuse". Empty if none is.
std::string GivenFlagOf(const std::string& field, const GivenFlags& flags);

}  // namespace bulwark::ctl

#endif  // CTL_RUN_GIVEN_H_
