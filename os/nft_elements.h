// Elements of nftables' sets, without libnftables: that reads all tables and
// sets before it adds one element.
#ifndef OS_NFT_ELEMENTS_H_
#define OS_NFT_ELEMENTS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"

namespace bulwark::os {

struct NftElement {
  std::string set;
  std::string key;  // as the kernel has it: see NftKey
};

// Puts the fields of a key together, each filled up to a multiple of 4 bytes.
class NftKey {
 public:
  NftKey& Add(const void* data, size_t size);
  NftKey& AddInterface(absl::string_view name);  // `ifname`
  std::string Take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// Move-only, thread-compatible. It acts in the network namespace that the
// thread was in at Open(), from whichever thread it is used.
class NftElements {
 public:
  static absl::StatusOr<NftElements> Open();

  // Adds `elements` to sets of `table`, of the family `family` (NFPROTO_…), or
  // deletes them from there: all of them, in one transaction, or none. One that
  // is there already may be added. NOT_FOUND: there is no such table or set,
  // or no such element to delete. Blocks on the kernel alone.
  absl::Status Add(uint8_t family, const std::string& table,
                   const std::vector<NftElement>& elements);
  absl::Status Delete(uint8_t family, const std::string& table,
                      const std::vector<NftElement>& elements);

 private:
  explicit NftElements(UniqueFd fd) : fd_(std::move(fd)) {}
  absl::Status Commit(const std::string& batch, size_t messages);

  UniqueFd fd_;
  uint32_t sequence_ = 0;  // of the last message
};

}  // namespace bulwark::os

#endif  // OS_NFT_ELEMENTS_H_
