#include "daemon/config_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <set>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "daemon/flags.h"
#include "manifest/node.h"
#include "manifest/problem.h"
#include "manifest/substitute.h"
#include "manifest/suggest.h"
#include "manifest/yaml.h"
#include "os/files.h"

namespace bulwark::daemon {
namespace {

using manifest::Node;
using manifest::Problem;

constexpr int64_t kMaxFile = int64_t{1} << 20;

// Sets one flag from its node; what is wrong with the node, or "".
struct Setter {
  const Node& node;
  Config& config;

  std::string operator()(std::string Config::*target) const {
    if (!node.IsScalar()) return "is not a single value";
    config.*target = node.text;
    return "";
  }

  // One value may stand for a list of one.
  std::string operator()(std::vector<std::string> Config::*target) const {
    if (node.IsScalar()) {
      config.*target = {node.text};
      return "";
    }
    if (!node.IsList()) return "is not a list";
    std::vector<std::string> values;
    for (const Node::Ptr& item : node.items) {
      if (!item->IsScalar()) return "is not a list of single values";
      values.push_back(item->text);
    }
    config.*target = std::move(values);
    return "";
  }

  std::string operator()(int Config::*target) const {
    if (node.IsScalar() && absl::SimpleAtoi(node.text, &(config.*target))) {
      return "";
    }
    return "is not a number";
  }

  std::string operator()(bool Config::*target) const {
    if (node.IsScalar() && !node.quoted &&
        (node.text == "true" || node.text == "false")) {
      config.*target = node.text == "true";
      return "";
    }
    return "is neither true nor false";
  }
};

class Reader {
 public:
  Reader(absl::string_view file, Config& config)
      : file_(file), config_(config) {}

  void Take(const Node& root) {
    if (!root.IsMap()) {
      Add(root, "", absl::StrCat(manifest::Describe(root), ", not settings"),
          "write NAME: VALUE lines");
      return;
    }
    for (const auto& [key, value] : root.entries) TakeEntry(*key, *value);
  }

  std::vector<Problem> problems;

 private:
  void Add(const Node& node, absl::string_view name, std::string message,
           std::string remedy = "") {
    problems.push_back({{file_, node.mark},
                        std::string(name),
                        std::move(message),
                        std::move(remedy)});
  }

  void TakeEntry(const Node& key, const Node& value) {
    if (!key.IsScalar()) {
      Add(key, "", "a setting's name is a word");
      return;
    }
    const Flag* flag = Find(key);
    if (flag == nullptr) return;
    if (!seen_.insert(flag->name).second) {
      Add(key, flag->name, "is given twice", "leave one of them out");
    } else if (value.kind == Node::Kind::kNull) {
      Add(key, flag->name, "has no value",
          "leave the line out for the default");
    } else if (std::string why =
                   std::visit(Setter{value, config_}, flag->target);
               !why.empty()) {
      Add(value, flag->name, std::move(why), flag->help);
    } else {
      config_.places[flag->name] =
          manifest::Place{file_, value.mark}.ToString();
    }
  }

  const Flag* Find(const Node& key) {
    std::vector<std::string> names;
    for (const Flag& flag : Flags()) {
      if (key.text == flag.name) {
        if (!flag.command_line_only) return &flag;
        Add(key, key.text, "belongs on the command line",
            absl::StrCat("give --", key.text, " there"));
        return nullptr;
      }
      if (!flag.command_line_only) names.emplace_back(flag.name);
    }
    const std::string nearest = manifest::Nearest(key.text, names);
    Add(key, key.text, "unknown setting",
        nearest.empty() ? "see bulwarkd --help"
                        : absl::StrCat("did you mean ", nearest, "?"));
    return nullptr;
  }

  const std::string file_;
  Config& config_;
  std::set<std::string> seen_;
};

}  // namespace

absl::Status ParseConfigFile(absl::string_view file, absl::string_view text,
                             Config& config) {
  manifest::Substitution none{std::string(file), nullptr};
  manifest::YamlDocuments documents = manifest::ReadYaml(file, text, none);
  Reader reader(file, config);
  reader.problems = std::move(documents.problems);
  for (size_t i = 0; i < documents.roots.size(); ++i) {
    if (i == 0) {
      reader.Take(*documents.roots[i]);
    } else if (i == 1) {
      reader.problems.push_back({{std::string(file), documents.roots[i]->mark},
                                 "",
                                 "a second document",
                                 "keep all settings in one"});
    }
  }
  if (reader.problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(manifest::ToString(reader.problems));
}

absl::Status ReadConfigFile(const std::string& path, Config& config) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("open configuration", path);
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return ErrnoStatus("look at", path);
  if (S_ISREG(info.st_mode) && (info.st_mode & S_IWOTH) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("read configuration ", path,
                     ": everybody may write it; chmod o-w ", path));
  }
  // "No file at all", also where there is one at the usual place.
  if (path == "/dev/null") return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string text,
                   os::ReadFd(fd.get(), path, kMaxFile));
  return ParseConfigFile(path, text, config);
}

}  // namespace bulwark::daemon
