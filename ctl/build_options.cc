#include "ctl/build_options.h"

#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "base/units.h"
#include "ctl/errors.h"
#include "ctl/seal.h"

namespace bulwark::ctl {
namespace {

using Parts = std::map<std::string, std::string>;

std::string Take(Parts& parts, const std::string& name) {
  auto it = parts.find(name);
  if (it == parts.end()) return "";
  std::string value = std::move(it->second);
  parts.erase(it);
  return value;
}

absl::Status NothingLeft(const Parts& parts, const std::string& flag,
                         absl::string_view known) {
  if (parts.empty()) return absl::OkStatus();
  return UsageError(absl::StrCat(flag, ": \"", parts.begin()->first,
                                 "\" is not known; known are ", known));
}

// NAME=value; without "=" the value is the environment's.
absl::Status ReadArgs(Context& context, const BuildFlags& flags,
                      v1::BuildOptions& options) {
  for (const std::string& arg : flags.args) {
    const size_t equals = arg.find('=');
    if (equals == 0) {
      return UsageError(absl::StrCat("--build-arg ", arg, ": NAME=value"));
    }
    if (equals != std::string::npos) {
      (*options.mutable_args())[arg.substr(0, equals)] = arg.substr(equals + 1);
    } else if (auto value = context.environment(arg)) {
      (*options.mutable_args())[arg] = *value;
    }
  }
  // As other builders do: reproducible without a flag.
  auto epoch = context.environment("SOURCE_DATE_EPOCH");
  if (epoch.has_value() && options.args().count("SOURCE_DATE_EPOCH") == 0) {
    (*options.mutable_args())["SOURCE_DATE_EPOCH"] = *epoch;
  }
  return absl::OkStatus();
}

absl::StatusOr<Value> ValueOfVariable(Context& context,
                                      const std::string& name) {
  const std::optional<std::string> text = context.environment(name);
  if (!text.has_value()) {
    return UsageError(
        absl::StrCat("--secret: the variable ", name, " is not set"));
  }
  Value value(text->size());
  std::memcpy(value.data(), text->data(), text->size());
  return value;
}

// id=ID, with src=FILE or env=VARIABLE; alone it is the variable ID.
absl::Status ReadSecrets(Context& context, const BuildFlags& flags,
                         v1::BuildOptions& options) {
  for (const std::string& text : flags.secrets) {
    Parts parts = ReadParts(text);
    const std::string type = Take(parts, "type");
    std::string id = Take(parts, "id");
    std::string file = Take(parts, "src");
    if (file.empty()) file = Take(parts, "source");
    std::string variable = Take(parts, "env");
    RETURN_IF_ERROR(NothingLeft(parts, "--secret", "id, src, env and type"));
    if (!type.empty() && type != "file" && type != "env") {
      return UsageError(
          absl::StrCat("--secret: type=", type, "; it is file or env"));
    }
    if (type == "env" && variable.empty())
      variable = std::move(file), file = "";
    if (id.empty() || (!file.empty() && !variable.empty())) {
      return UsageError(absl::StrCat("--secret ", text,
                                     ": id=ID,src=FILE or id=ID,env=VARIABLE"));
    }
    if (file.empty() && variable.empty()) variable = id;
    if (options.sealed_secrets().count(id) > 0) {
      return UsageError(absl::StrCat("--secret: ", id, " is given twice"));
    }
    ValueSource source;
    source.file = file;
    absl::StatusOr<Value> value = file.empty()
                                      ? ValueOfVariable(context, variable)
                                      : ReadValue(context, source);
    if (!value.ok()) return value.status();
    ASSIGN_OR_RETURN((*options.mutable_sealed_secrets())[id],
                     SealValue(context, *std::move(value)));
  }
  return absl::OkStatus();
}

absl::Status ReadPairs(const BuildFlags& flags, v1::BuildOptions& options) {
  for (const std::string& label : flags.labels) {
    const size_t equals = label.find('=');
    if (equals == 0) {
      return UsageError(absl::StrCat("--label ", label, ": NAME=value"));
    }
    (*options.mutable_labels())[label.substr(0, equals)] =
        equals == std::string::npos ? "" : label.substr(equals + 1);
  }
  for (const std::string& host : flags.hosts) {
    const size_t split = host.find_first_of("=:");
    if (split == std::string::npos || split == 0 || split + 1 == host.size()) {
      return UsageError(absl::StrCat("--add-host ", host, ": NAME:ADDRESS"));
    }
    std::string address = host.substr(split + 1);
    if (address.front() == '[' && address.back() == ']') {
      address = address.substr(1, address.size() - 2);
    }
    (*options.mutable_extra_hosts())[host.substr(0, split)] = address;
  }
  for (const std::string& allowed : flags.allow) {
    if (allowed == "network.host") {
      options.set_allow_host_network(true);
    } else if (allowed == "security.insecure") {
      options.set_allow_insecure(true);
    } else {
      return UsageError(absl::StrCat("--allow ", allowed,
                                     ": network.host or security.insecure"));
    }
  }
  for (const std::string& names : flags.no_cache_filter) {
    for (absl::string_view name :
         absl::StrSplit(names, ',', absl::SkipEmpty())) {
      options.add_no_cache_filter(std::string(name));
    }
  }
  if (flags.shm_size.empty()) return absl::OkStatus();
  // Docker's "64m" and "1g" are powers of 1024.
  std::string size = flags.shm_size;
  if (size.back() == 'b') size.pop_back();
  const char unit = size.empty() ? '0' : size.back();
  if (unit == 'k') size = size.substr(0, size.size() - 1) + "Ki";
  if (unit == 'm') size = size.substr(0, size.size() - 1) + "Mi";
  if (unit == 'g') size = size.substr(0, size.size() - 1) + "Gi";
  absl::StatusOr<int64_t> bytes = ParseBytes(size);
  if (!bytes.ok()) {
    return UsageError(absl::StrCat("--shm-size: ", bytes.status().message()));
  }
  options.set_shm_size_bytes(*bytes);
  return absl::OkStatus();
}

absl::Status ReadOutput(Context& context, const std::string& text,
                        v1::BuildOptions& options, BuildOutput& output) {
  Parts parts;
  if (text == "-") {
    parts = {{"type", "tar"}, {"dest", "-"}};
  } else if (!absl::StrContains(text, "=")) {
    parts = {{"type", "local"}, {"dest", text}};
  } else {
    parts = ReadParts(text);
  }
  const std::string type = Take(parts, "type");
  output.path = Take(parts, "dest");
  const std::string name = Take(parts, "name");
  const std::string push = Take(parts, "push");
  RETURN_IF_ERROR(NothingLeft(parts, "--output", "type, dest, name and push"));
  for (absl::string_view tag : absl::StrSplit(name, ',', absl::SkipEmpty())) {
    options.add_tags(std::string(tag));
  }
  if (type == "image" || type == "registry" ||
      (type == "docker" && output.path.empty())) {
    if (type == "registry" || push == "true") options.set_push(true);
    return absl::OkStatus();
  }
  if (type == "local") {
    if (output.path.empty()) return UsageError("--output type=local,dest=DIR");
    options.set_output(v1::BuildOptions::FILES);
    output.kind = BuildOutput::Kind::kFolder;
    return absl::OkStatus();
  }
  if (type == "tar") {
    options.set_output(v1::BuildOptions::FILES);
  } else if (type == "oci") {
    options.set_output(v1::BuildOptions::OCI);
  } else if (type == "docker") {
    options.set_output(v1::BuildOptions::DOCKER);
  } else {
    return UsageError(
        absl::StrCat("--output: type=", type,
                     "; it is local, tar, oci, docker, image or registry"));
  }
  output.kind = output.path.empty() || output.path == "-"
                    ? BuildOutput::Kind::kStdout
                    : BuildOutput::Kind::kFile;
  if (output.kind == BuildOutput::Kind::kStdout && context.io.out_tty()) {
    return UsageError(
        "--output: an archive on a terminal is of no use; name a file, as in"
        " dest=out.tar");
  }
  return absl::OkStatus();
}

}  // namespace

std::map<std::string, std::string> ReadParts(const std::string& text) {
  Parts parts;
  for (absl::string_view part : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    const size_t equals = part.find('=');
    parts[std::string(part.substr(0, equals))] =
        equals == absl::string_view::npos
            ? ""
            : std::string(part.substr(equals + 1));
  }
  return parts;
}

absl::Status ReadBuildFlags(Context& context, const BuildFlags& flags,
                            v1::BuildOptions& options, BuildOutput& output) {
  for (const std::string& tag : flags.tags) options.add_tags(tag);
  options.set_target(flags.target);
  options.set_no_cache(flags.no_cache);
  options.set_pull(flags.pull);
  options.set_push(flags.push);
  options.set_check(flags.check);
  options.set_platform(flags.platform);
  options.set_network(flags.network);
  options.set_compression(flags.compression);
  if (flags.outputs.size() > 1) {
    return UsageError("--output: one alone can be given");
  }
  if (!flags.outputs.empty()) {
    RETURN_IF_ERROR(ReadOutput(context, flags.outputs[0], options, output));
  }
  RETURN_IF_ERROR(ReadPairs(flags, options));
  RETURN_IF_ERROR(ReadArgs(context, flags, options));
  return ReadSecrets(context, flags, options);
}

}  // namespace bulwark::ctl
