// The command line, in the manner of runc's: flags with one or two dashes,
// values after "=" or as the next word.
#ifndef ENGINE_OCI_ARGS_H_
#define ENGINE_OCI_ARGS_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bulwark::engine::oci {

struct Flag {
  const char* name;  // "pid-file"
  char letter;       // 'p', or 0
  bool takes_value;
  const char* help;
};

class Args {
 public:
  // Reads flags from `words` until the first word that is none, or "--", with
  // `mixed` anywhere before "--"; `rest` gets the others in order.
  // INVALID_ARGUMENT for a flag that is not in `flags`, or without its value.
  static absl::StatusOr<Args> Parse(const std::vector<std::string>& words,
                                    const std::vector<Flag>& flags, bool mixed);

  bool Has(const std::string& name) const { return values_.count(name) > 0; }
  // The last value given, or `otherwise`.
  std::string Get(const std::string& name,
                  const std::string& otherwise = "") const;
  const std::vector<std::string>& GetAll(const std::string& name) const;
  // INVALID_ARGUMENT unless a whole number; `otherwise` if absent.
  absl::StatusOr<int64_t> GetInt(const std::string& name,
                                 int64_t otherwise) const;
  const std::vector<std::string>& rest() const { return rest_; }

 private:
  std::map<std::string, std::vector<std::string>> values_;
  std::vector<std::string> rest_;
};

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_ARGS_H_
