// Names of records, and sets of names.
#ifndef STORE_KEY_H_
#define STORE_KEY_H_

#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bulwark::store {

// The name of one record. Its string form is "<kind>/<project>/<name>", for
// example "service/shop/web", or "node//local" where nothing is owned by a
// project. Only the name may contain slashes, so the form is unambiguous.
struct Key {
  std::string kind;     // 1 to 64 of [a-z0-9-]
  std::string project;  // 0 to 64 of [a-z0-9-]
  std::string name;     // 1 to 512 bytes, no control characters

  std::string ToString() const;

  // INVALID_ARGUMENT, naming the key, if a part breaks the rules above.
  absl::Status Validate() const;

  // Reads what ToString() wrote; INVALID_ARGUMENT for anything else.
  static absl::StatusOr<Key> Parse(absl::string_view text);

  friend bool operator==(const Key& a, const Key& b) {
    return std::tie(a.kind, a.project, a.name) ==
           std::tie(b.kind, b.project, b.name);
  }
  // The order of the string forms, which is the order of listings.
  friend bool operator<(const Key& a, const Key& b) { return Less(a, b); }
  template <typename H>
  friend H AbslHashValue(H h, const Key& k) {
    return H::combine(std::move(h), k.kind, k.project, k.name);
  }

 private:
  static bool Less(const Key& a, const Key& b);
};

// Which keys a listing or a watch is about. The default is all of them.
struct Filter {
  std::string kind;                    // "" = every kind
  std::optional<std::string> project;  // none = every project; "" = only
                                       // what no project owns
  std::string name_prefix;             // "" = every name

  bool Matches(const Key& key) const;
};

// The longest common prefix of the string forms of what can match `filter`.
std::string ListPrefix(const Filter& filter);

}  // namespace bulwark::store

#endif  // STORE_KEY_H_
