// Where a part of a manifest stands, and what is wrong with it.
#ifndef MANIFEST_PROBLEM_H_
#define MANIFEST_PROBLEM_H_

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace bulwark::manifest {

// A position in a text; both count from 1, columns in characters. 0: unknown.
struct Mark {
  int line = 0;
  int column = 0;
};

struct Place {
  std::string file;
  Mark mark;

  // "web.yaml:7:5"; the file alone if the position is unknown.
  std::string ToString() const;
};

// One fault of a manifest.
struct Problem {
  Place place;
  // Path in the full form, "spec.containers[0].image"; may be empty.
  std::string field;
  // "unknown field".
  std::string message;
  // "did you mean replicas?"; may be empty.
  std::string remedy;

  // "web.yaml:7:5: spec.replcias: unknown field; did you mean replicas?"
  std::string ToString() const;
};

// One problem a line.
std::string ToString(const std::vector<Problem>& problems);

// Where each field of an object's full form was written, whatever shorthand
// was used. Thread-compatible.
class Places {
 public:
  explicit Places(std::string file = "") : file_(std::move(file)) {}

  // The first mark of a path holds. The empty path is the document.
  void Add(absl::string_view path, Mark mark);

  // The place of `path`, else of the nearest path around it that was written:
  // "spec.ports[0].hostPort" falls back to the short form at "spec.ports[0]".
  Place Find(absl::string_view path) const;

 private:
  std::string file_;
  std::map<std::string, Mark> marks_;
};

}  // namespace bulwark::manifest

#endif  // MANIFEST_PROBLEM_H_
