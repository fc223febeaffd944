#include "manifest/problem.h"

#include "absl/strings/str_cat.h"

namespace bulwark::manifest {

std::string Place::ToString() const {
  if (mark.line == 0) return file;
  return absl::StrCat(file, ":", mark.line, ":", mark.column);
}

std::string Problem::ToString() const {
  std::string out = place.ToString();
  if (!field.empty()) absl::StrAppend(&out, out.empty() ? "" : ": ", field);
  absl::StrAppend(&out, out.empty() ? "" : ": ", message);
  if (!remedy.empty()) absl::StrAppend(&out, "; ", remedy);
  return out;
}

std::string ToString(const std::vector<Problem>& problems) {
  std::string out;
  for (const Problem& problem : problems) {
    absl::StrAppend(&out, problem.ToString(), "\n");
  }
  return out;
}

void Places::Add(absl::string_view path, Mark mark) {
  marks_.emplace(std::string(path), mark);
}

Place Places::Find(absl::string_view path) const {
  while (true) {
    auto it = marks_.find(std::string(path));
    if (it != marks_.end()) return {file_, it->second};
    if (path.empty()) return {file_, {}};
    size_t end = path.find_last_of(".[");
    path = path.substr(0, end == absl::string_view::npos ? 0 : end);
  }
}

}  // namespace bulwark::manifest
