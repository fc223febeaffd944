#include "ctl/manifests.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "ctl/errors.h"
#include "manifest/kinds.h"

namespace bulwark::ctl {
namespace {

namespace fs = std::filesystem;
using manifest::ParsedObject;
using manifest::Problem;

// A little over what the parser takes, so that it says "too large".
constexpr size_t kMaxBytes = (size_t{4} << 20) + 1;

absl::StatusOr<std::string> ReadDescriptor(int fd, const std::string& name) {
  std::string text;
  char buffer[65536];
  while (text.size() < kMaxBytes) {
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus("read", name);
    if (n == 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    const absl::Status status =
        ErrnoStatus(errno == 0 ? EIO : errno, "read", path);
    if (!absl::IsNotFound(status)) return status;
    std::error_code ignored;
    return WithRemedy(status, absl::StrCat("look at the path; a relative one "
                                           "begins in ",
                                           fs::current_path(ignored).string()));
  }
  std::string text(kMaxBytes, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(in.gcount()));
  if (in.bad()) return ErrnoStatus(EIO, "read", path);
  return text;
}

absl::StatusOr<std::vector<std::string>> ExpandFolder(
    const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    const std::string extension = it->path().extension().string();
    const bool wanted =
        extension == ".yaml" || extension == ".yml" || extension == ".json";
    if (wanted && !it->is_directory()) files.push_back(it->path().string());
  }
  if (error) return ErrnoStatus(error.value(), "list", folder);
  std::sort(files.begin(), files.end());
  if (files.empty()) {
    return absl::NotFoundError(absl::StrCat(
        "read ", folder, ": the folder has no .yaml, .yml or .json file"));
  }
  return files;
}

absl::StatusOr<std::map<std::string, std::string>> ReadEnvFiles(
    const std::vector<std::string>& paths) {
  std::map<std::string, std::string> variables;
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(std::string text, ReadFile(path));
    ASSIGN_OR_RETURN(auto parsed, manifest::ParseEnvFile(path, text));
    for (auto& [name, value] : parsed) variables[name] = value;
  }
  return variables;
}

// --project on the objects that name none; two that differ are a problem.
void SetProject(const std::string& project, ParsedObject& parsed,
                std::vector<Problem>& problems) {
  if (project.empty()) return;
  const manifest::Kind* kind = manifest::KindOf(parsed.object);
  if (kind == nullptr || parsed.object.has_project()) return;
  v1::Metadata& metadata = manifest::MutableMetadata(parsed.object);
  if (metadata.project().empty()) {
    metadata.set_project(project);
  } else if (metadata.project() != project) {
    problems.push_back({parsed.places.Find("metadata.project"),
                        "metadata.project",
                        absl::StrCat("is ", metadata.project(),
                                     ", but --project says ", project),
                        "leave one of them out"});
  }
}

void FindDuplicates(const std::vector<ParsedObject>& objects,
                    std::vector<Problem>& problems) {
  std::map<std::string, const ParsedObject*> seen;
  for (const ParsedObject& parsed : objects) {
    auto [first, added] =
        seen.emplace(manifest::NameOf(parsed.object), &parsed);
    if (added) continue;
    problems.push_back(
        {parsed.places.Find("metadata.name"), "",
         absl::StrCat(first->first, " is given twice; first at ",
                      first->second->places.Find("metadata.name").ToString()),
         "keep one of the two, or rename it"});
  }
}

absl::Status ProblemsError(const std::vector<Problem>& problems) {
  return WithLines(absl::InvalidArgumentError("the manifests have problems"),
                   manifest::ToString(problems));
}

}  // namespace

absl::StatusOr<std::vector<ParsedObject>> ReadManifests(
    Context& context, const std::vector<std::string>& paths,
    const std::vector<std::string>& env_files) {
  ASSIGN_OR_RETURN(auto variables, ReadEnvFiles(env_files));
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code ignored;
    if (path != "-" && fs::is_directory(path, ignored)) {
      ASSIGN_OR_RETURN(std::vector<std::string> inside, ExpandFolder(path));
      files.insert(files.end(), inside.begin(), inside.end());
    } else {
      files.push_back(path);
    }
  }
  manifest::ParseOptions options;
  options.variables =
      [&](absl::string_view name) -> std::optional<std::string> {
    if (auto value = context.environment(name)) return value;
    auto it = variables.find(std::string(name));
    if (it == variables.end()) return std::nullopt;
    return it->second;
  };
  std::vector<ParsedObject> objects;
  std::vector<Problem> problems;
  for (const std::string& file : files) {
    std::string text;
    std::error_code error;
    const fs::path here = fs::current_path(error);
    if (file == "-") {
      ASSIGN_OR_RETURN(text, ReadDescriptor(context.io.in_fd(), "stdin"));
      options.file = "<stdin>";
      options.folder = here.string();
    } else {
      ASSIGN_OR_RETURN(text, ReadFile(file));
      options.file = file;
      options.folder = (here / file).parent_path().lexically_normal().string();
    }
    manifest::ParseResult result = manifest::Parse(text, options);
    problems.insert(problems.end(), result.problems.begin(),
                    result.problems.end());
    for (ParsedObject& parsed : result.objects) {
      SetProject(context.project, parsed, problems);
      objects.push_back(std::move(parsed));
    }
  }
  if (problems.empty()) FindDuplicates(objects, problems);
  if (!problems.empty()) return ProblemsError(problems);
  if (objects.empty()) {
    return WithRemedy(
        absl::InvalidArgumentError(
            absl::StrCat("read ", absl::StrJoin(files, ", "),
                         ": no object is declared there")),
        "a manifest begins with, for instance, \"kind: Service\"");
  }
  return objects;
}

absl::Status MapViolations(const absl::Status& status,
                           const std::vector<ParsedObject>& objects) {
  const v1::ErrorDetail detail = DetailOf(status);
  if (detail.violations().empty()) return status;
  std::vector<Problem> problems;
  for (const v1::Violation& violation : detail.violations()) {
    manifest::Place place;
    if (violation.object() >= 0 &&
        violation.object() < static_cast<int>(objects.size())) {
      place = objects[violation.object()].places.Find(violation.field());
    }
    problems.push_back(
        {place, violation.field(), violation.message(), violation.remedy()});
  }
  return WithLines(status, manifest::ToString(problems));
}

}  // namespace bulwark::ctl
