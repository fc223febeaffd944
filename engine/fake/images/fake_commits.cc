#include "engine/fake/images/fake_commits.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace bulwark::engine {
namespace {

constexpr const char* kAllowed[] = {
    "CMD",     "ENTRYPOINT", "ENV",        "EXPOSE", "HEALTHCHECK", "LABEL",
    "ONBUILD", "SHELL",      "STOPSIGNAL", "USER",   "VOLUME"};

void SetEnv(const std::string& variable, std::vector<std::string>& env) {
  const std::string name = variable.substr(0, variable.find('=') + 1);
  std::erase_if(env, [&name](const std::string& other) {
    return other.compare(0, name.size(), name) == 0;
  });
  env.push_back(variable);
}

absl::Status Change(const std::string& text, ImageConfig& config) {
  const std::pair<std::string, std::string> words =
      absl::StrSplit(text, absl::MaxSplits(' ', 1));
  if (std::find(std::begin(kAllowed), std::end(kAllowed), words.first) ==
      std::end(kAllowed)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "commit: --change \"", text, "\": nothing that a commit can change"));
  }
  if (words.first == "USER") config.user = words.second;
  if (words.first == "ENV") SetEnv(words.second, config.env);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Image> FakeCommits::Commit(const CommitRequest& request) {
  ASSIGN_OR_RETURN(Image image, images_.Get(request.base));
  const ImageConfig& given = request.config;
  if (!given.entrypoint.empty()) {
    image.config.entrypoint = given.entrypoint;
    image.config.command.clear();
  }
  if (!given.command.empty()) image.config.command = given.command;
  if (!given.user.empty()) image.config.user = given.user;
  if (!given.working_dir.empty()) image.config.working_dir = given.working_dir;
  for (const std::string& variable : given.env) {
    SetEnv(variable, image.config.env);
  }
  for (const std::string& change : request.changes) {
    RETURN_IF_ERROR(Change(change, image.config));
  }
  for (const std::string& tag : request.tags) {
    RETURN_IF_ERROR(NormalizeReference(tag).status());
  }
  std::error_code error;
  if (!std::filesystem::is_empty(request.upper_dir, error) && !error) {
    image.layers.push_back(request.upper_dir);
  }
  return images_.Keep(std::move(image), request.tags);
}

}  // namespace bulwark::engine
