// Modes as chmod(1) writes them.
#ifndef ENGINE_BUILD_MODE_CHANGE_H_
#define ENGINE_BUILD_MODE_CHANGE_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bulwark::engine::build {

// A mode that is set, or changes to the one that is there.
class ModeChange {
 public:
  // "0755", or "u=rwX,go=rX", "+x", "g-w,o=". INVALID_ARGUMENT says what is
  // wrong.
  static absl::StatusOr<ModeChange> Parse(absl::string_view text);

  // The permission bits after the change; of `mode` those of the type count
  // for "X".
  mode_t Apply(mode_t mode) const;

 private:
  struct Clause {
    mode_t who = 0;  // the bits that it is about
    char operation = '=';
    mode_t bits = 0;
    bool search = false;  // X: x for directories, and where somebody has x
    char copy = 0;        // u, g or o: their bits
  };

  std::vector<Clause> clauses_;
  bool absolute_ = false;
  mode_t mode_ = 0;  // if absolute
};

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_MODE_CHANGE_H_
