// ctl config: files for containers that are no secret.
#include <fcntl.h>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/objects.h"
#include "ctl/pull.h"
#include "ctl/versions.h"
#include "manifest/kinds.h"

namespace bulwark::ctl {
namespace {

constexpr size_t kMaxValue = size_t{500} << 10;

struct Flags {
  std::string name;
  std::string from;  // "-"
  std::string file;
  std::vector<std::string> labels;
  bool allow_empty = false;
};

// Nothing at all mostly comes from a pipe whose first program has failed.
absl::StatusOr<std::string> CheckEmpty(std::string content,
                                       const std::string& source,
                                       const Flags& flags) {
  if (content.empty() && !flags.allow_empty) {
    return UsageError(absl::StrCat("the content is empty: ", source,
                                   " has nothing in it; --allow-empty if that "
                                   "is meant"));
  }
  return content;
}

absl::StatusOr<std::string> ReadContent(Context& context, const Flags& flags) {
  std::string name = flags.file.empty() ? flags.from : flags.file;
  if (name.empty() && !context.io.in_tty()) name = "-";
  if (name.empty() || (flags.file.empty() && name != "-") ||
      (!flags.file.empty() && !flags.from.empty())) {
    return UsageError("give --from-file FILE, or - for standard input");
  }
  UniqueFd file;
  int fd = context.io.in_fd();
  if (name != "-") {
    file.Reset(open(name.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.ok()) return ErrnoStatus("open", name);
    fd = file.get();
  }
  if (name == "-") name = "standard input";
  Client::Source source = FileSource(fd, name);
  std::string content;
  while (content.size() <= kMaxValue) {
    ASSIGN_OR_RETURN(std::string piece, source());
    if (piece.empty()) return CheckEmpty(std::move(content), name, flags);
    content += piece;
  }
  return UsageError(absl::StrCat(name, " is larger than 500 KiB"));
}

// Whether there is one must be as `is_new` demands.
absl::StatusOr<v1::Object> Find(Context& context, const std::string& name,
                                bool is_new) {
  absl::StatusOr<v1::Object> found =
      GetObject(context, *manifest::FindKind("config"), name);
  if (found.ok() && is_new) {
    return WithRemedy(
        absl::AlreadyExistsError(
            absl::StrCat("create config ", name, ": there is one already")),
        absl::StrCat("`ctl config set ", name, "` gives it a new version"));
  }
  if (found.status().code() == absl::StatusCode::kNotFound && !is_new) {
    return WithRemedy(found.status(),
                      absl::StrCat("`ctl config create ", name, "` makes it"));
  }
  if (!found.ok() && found.status().code() != absl::StatusCode::kNotFound) {
    return found.status();
  }
  v1::Object object;
  if (found.ok()) {
    *object.mutable_config()->mutable_metadata()->mutable_labels() =
        found->config().metadata().labels();
  }
  return object;
}

absl::StatusOr<int> Set(Context& context, const Flags& flags, bool is_new) {
  ASSIGN_OR_RETURN(const std::string name, NameOfKind(flags.name, "config"));
  ASSIGN_OR_RETURN(auto labels, ParseLabels(flags.labels));
  ASSIGN_OR_RETURN(std::string content, ReadContent(context, flags));
  v1::ApplyRequest request;
  ASSIGN_OR_RETURN(*request.add_objects(), Find(context, name, is_new));
  v1::Config& config = *request.mutable_objects(0)->mutable_config();
  config.mutable_metadata()->set_name(name);
  config.mutable_metadata()->set_project(context.ProjectOrDefault());
  if (!labels.empty()) {
    config.mutable_metadata()->clear_labels();
    config.mutable_metadata()->mutable_labels()->insert(labels.begin(),
                                                        labels.end());
  }
  config.mutable_spec()->set_value(std::move(content));
  ASSIGN_OR_RETURN(const v1::ApplyResponse response,
                   context.client().Apply(request));
  const v1::ApplyResult& result = response.results(0);
  context.io.Out(absl::StrCat(
      "config ", name, " ",
      result.action() == v1::ApplyResult::UNCHANGED ? "unchanged"
      : result.action() == v1::ApplyResult::CREATED ? "created"
                                                    : "changed",
      " (version ", result.object().config().status().version(), ")\n"));
  return kExitOk;
}

absl::StatusOr<int> Get(Context& context, const Flags& flags) {
  ASSIGN_OR_RETURN(const std::string name, NameOfKind(flags.name, "config"));
  ASSIGN_OR_RETURN(const v1::Object object,
                   GetObject(context, *manifest::FindKind("config"), name));
  context.io.Out(object.config().spec().value());
  return kExitOk;
}

void AddSetter(CLI::App& group, Context& context, const char* verb,
               const char* help, bool is_new) {
  auto flags = std::make_shared<Flags>();
  Command(group, context, verb, help)
      .Word("NAME", flags->name, "The config", Command::kRequired)
      .Word("SOURCE", flags->from, "- reads the content from standard input")
      .Option("-f,--from-file", flags->file,
              "Read the content from a file; - for standard input")
      .Flag("--allow-empty", flags->allow_empty,
            "Take no content as content, too")
      .Option("-l,--label", flags->labels, "KEY=VALUE labels")
      .Action([flags, is_new](Context& c) { return Set(c, *flags, is_new); });
}

}  // namespace

void AddConfig(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  CLI::App& group =
      Command(app, context, "config", "Keep files that containers read")
          .Group();
  AddSetter(group, context, "create", "Make a config", true);
  AddSetter(group, context, "set", "Give a config new content", false);
  Command(group, context, "get", "Print the content of a config")
      .Word("NAME", flags->name, "The config", Command::kRequired)
      .Action([flags](Context& c) { return Get(c, *flags); });
  AddVersionCommands(group, context, "config");
}

}  // namespace bulwark::ctl
