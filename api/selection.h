// Which objects a List or Watch request is about.
#ifndef API_SELECTION_H_
#define API_SELECTION_H_

#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/bulwark/v1/api.pb.h"
#include "store/key.h"

namespace bulwark::api {

// Reads the fields that ListRequest and WatchRequest share. Thread-safe once
// made.
class Selection {
 public:
  // INVALID_ARGUMENT for an unknown kind (with those that exist), and for a
  // service filter on a kind that belongs to no service.
  static absl::StatusOr<Selection> Of(const v1::ListRequest& request);
  static absl::StatusOr<Selection> Of(const v1::WatchRequest& request);

  // What the store can filter by.
  const store::Filter& filter() const { return filter_; }

  // The rest: name, labels, service.
  bool Matches(const v1::Object& object) const;

  // Whether a change of an object can alter the answer of Matches().
  bool DependsOnContent() const {
    return !labels_.empty() || !service_.empty();
  }

 private:
  template <typename Request>
  static absl::StatusOr<Selection> Read(const Request& request);

  store::Filter filter_;
  std::string name_;
  std::string service_;
  std::map<std::string, std::string> labels_;
};

// Whether a caller may see an object.
using Visible = std::function<bool(const v1::Object&)>;

// OK if there is such a kind; else INVALID_ARGUMENT with those that exist.
absl::Status CheckKind(absl::string_view kind);

}  // namespace bulwark::api

#endif  // API_SELECTION_H_
