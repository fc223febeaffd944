// Which address a slot and a service get.
#ifndef SCHEDULER_SERVICES_ADDRESSES_H_
#define SCHEDULER_SERVICES_ADDRESSES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::scheduler {

struct SlotAddress {
  std::string address;
  std::string address6;  // empty if the network has no IPv6
};

// Whether `address` lies in `subnet` (CIDR). False for malformed ones. Pure.
bool InSubnet(absl::string_view address, absl::string_view subnet);

// The addresses that a slot had before, of the replicas' records (ended ones
// too); empty if it had none in this network. Pure.
SlotAddress KeptAddress(const std::vector<v1::Replica>& replicas, int slot,
                        const v1::NetworkStatus& network);

// Addresses of `network` that are not among `taken`. RESOURCE_EXHAUSTED if none
// is left. Pure.
absl::StatusOr<SlotAddress> FreeAddress(const std::vector<SlotAddress>& taken,
                                        const v1::NetworkStatus& network);

// Every address that stands in the bytes of a message as a string of its own:
// those of a record that cannot be read any more, as far as they can be known.
// Pure.
std::vector<std::string> AddressesIn(absl::string_view bytes);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_SERVICES_ADDRESSES_H_
