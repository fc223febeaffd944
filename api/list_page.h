// Listings in parts.
#ifndef API_LIST_PAGE_H_
#define API_LIST_PAGE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "api/selection.h"
#include "proto/bulwark/v1/api.pb.h"
#include "store/store.h"

namespace bulwark::api {

// Where the next page begins, and the revision of the first one: changes after
// it are what a watch has to tell, also those between two pages.
struct PageToken {
  uint64_t revision = 0;
  std::string after;  // the last key that was sent; empty: from the start

  std::string Encode() const;
  // INVALID_ARGUMENT for what Encode() did not write.
  static absl::StatusOr<PageToken> Decode(absl::string_view text);
};

// One page, of what is visible. Each is a snapshot of its own. `unreadable`
// gets the keys of visible records of that page that cannot be read.
absl::StatusOr<v1::ListResponse> ListPage(store::MetadataStore& store,
                                          const v1::ListRequest& request,
                                          const Visible& visible,
                                          std::vector<store::Key>& unreadable);

}  // namespace bulwark::api

#endif  // API_LIST_PAGE_H_
