// The service or job that ctl run declares.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/entropy.h"
#include "base/status.h"
#include "base/units.h"
#include "ctl/errors.h"
#include "ctl/objects.h"
#include "ctl/references.h"
#include "ctl/run.h"
#include "manifest/scalar.h"
#include "manifest/shorthand.h"
#include "manifest/substitute.h"

namespace bulwark::ctl {
namespace {

absl::Status Flag(absl::string_view name, const absl::Status& status) {
  if (status.ok()) return status;
  return UsageError(absl::StrCat(name, ": ", status.message()));
}

absl::Status AddEnv(Context& context, const RunFlags& flags,
                    v1::Container& container) {
  std::map<std::string, std::string> env;
  for (const std::string& path : flags.env_files) {
    std::ifstream in(path);
    std::stringstream text;
    if (in) text << in.rdbuf();
    if (!in) return ErrnoStatus("read", path);
    ASSIGN_OR_RETURN(auto parsed, manifest::ParseEnvFile(path, text.str()));
    for (auto& [name, value] : parsed) env[name] = value;
  }
  for (const std::string& word : flags.env) {
    const size_t equals = word.find('=');
    if (equals == 0)
      return UsageError(absl::StrCat("-e ", word, ": NAME=value"));
    if (equals != std::string::npos) {
      env[word.substr(0, equals)] = word.substr(equals + 1);
    } else if (auto value = context.environment(word)) {
      env[word] = *value;
    }
  }
  for (const auto& [name, value] : env) {
    v1::EnvVar& variable = *container.add_env();
    variable.set_name(name);
    variable.set_value(value);
  }
  return absl::OkStatus();
}

absl::Status AddMounts(const RunFlags& flags, v1::Container& container) {
  for (const std::string& text : flags.volumes) {
    v1::VolumeMount& mount = *container.add_volumes();
    RETURN_IF_ERROR(Flag("-v", manifest::ReadShortForm(text, mount)));
    if (mount.host_path().empty()) continue;
    std::error_code error;
    const std::filesystem::path here = std::filesystem::current_path(error);
    std::string path = (here / mount.host_path()).lexically_normal().string();
    if (path.size() > 1 && path.back() == '/') path.pop_back();
    mount.set_host_path(path);
  }
  return absl::OkStatus();
}

absl::Status FillContainer(Context& context, const RunFlags& flags,
                           v1::Container& container) {
  container.set_image(flags.image);
  if (!flags.entrypoint.empty()) container.add_command(flags.entrypoint);
  for (const std::string& word : flags.command) container.add_args(word);
  container.set_user(flags.user);
  container.set_working_dir(flags.working_dir);
  container.set_read_only(flags.read_only);
  if (flags.privileged) container.set_profile(v1::Container::PRIVILEGED);
  if (flags.pull != "missing" && flags.pull != "always" &&
      flags.pull != "never") {
    return UsageError(
        absl::StrCat("--pull ", flags.pull, ": missing, always or never"));
  }
  if (flags.pull == "never") container.set_pull(v1::Container::NEVER);
  if (!flags.cpus.empty()) {
    RETURN_IF_ERROR(
        Flag("--cpus",
             manifest::ReadShortForm(
                 flags.cpus, *container.mutable_resources()->mutable_cpu())));
  }
  if (!flags.memory.empty()) {
    RETURN_IF_ERROR(Flag(
        "--memory",
        manifest::ReadShortForm(
            flags.memory, *container.mutable_resources()->mutable_memory())));
  }
  RETURN_IF_ERROR(AddEnv(context, flags, container));
  RETURN_IF_ERROR(FillGiven(flags.given, container));
  return AddMounts(flags, container);
}

absl::Status FillMetadata(Context& context, const RunFlags& flags,
                          v1::Metadata& metadata) {
  RealEntropy entropy;
  metadata.set_name(!flags.name.empty()
                        ? flags.name
                        : absl::StrCat(NameFromReference(flags.image), "-",
                                       NewUid(entropy).substr(0, 5)));
  metadata.set_project(context.ProjectOrDefault());
  ASSIGN_OR_RETURN(auto labels, ParseLabels(flags.labels));
  metadata.mutable_labels()->insert(labels.begin(), labels.end());
  return absl::OkStatus();
}

absl::Status FillRestart(const RunFlags& flags, v1::Restart& restart) {
  if (flags.restart.empty()) {
    restart.set_policy(flags.detach ? v1::Restart::ALWAYS : v1::Restart::NEVER);
    return absl::OkStatus();
  }
  // Docker's names for the same.
  std::string word = flags.restart == "no" ? "never" : flags.restart;
  if (word == "unless-stopped") word = "always";
  return Flag("--restart",
              manifest::ReadScalar(
                  word, *v1::Restart::descriptor()->FindFieldByName("policy"),
                  restart));
}

// The flag that a field comes from.
std::string FlagOf(const std::string& field, const RunFlags& flags) {
  const std::pair<const char*, const std::vector<std::string>&> lists[] = {
      {"spec.ports[", flags.ports},
      {"spec.containers[0].volumes[", flags.volumes}};
  for (const auto& [prefix, values] : lists) {
    size_t index;
    absl::string_view rest = field;
    if (!absl::ConsumePrefix(&rest, prefix)) continue;
    const char* flag = &values == &flags.ports ? "-p " : "-v ";
    if (absl::SimpleAtoi(rest.substr(0, rest.find(']')), &index) &&
        index < values.size()) {
      return absl::StrCat(flag, values[index]);
    }
  }
  absl::string_view inner = field;
  if (absl::ConsumePrefix(&inner, "spec.containers[0].")) {
    const std::string given = GivenFlagOf(std::string(inner), flags.given);
    if (!given.empty()) return given;
  }
  constexpr std::pair<const char*, const char*> kFlags[] = {
      {"metadata.name", "--name"},
      {"metadata.project", "--project"},
      {"metadata.labels", "-l"},
      {"spec.network", "--network"},
      {"spec.containers[0].image", "IMAGE"},
      {"spec.containers[0].env", "-e"},
      {"spec.containers[0].user", "--user"},
      {"spec.containers[0].workingDir", "--workdir"},
      {"spec.containers[0].resources.cpu", "--cpus"},
      {"spec.containers[0].resources.memory", "--memory"},
  };
  for (const auto& [prefix, flag] : kFlags) {
    if (absl::StartsWith(field, prefix)) return flag;
  }
  return field;
}

}  // namespace

absl::Status InWordsOfFlags(const absl::Status& status, const RunFlags& flags) {
  v1::ErrorDetail detail = DetailOf(status);
  if (detail.violations().empty()) return status;
  v1::ErrorDetail out;
  out.set_remedy(detail.remedy());
  for (v1::Violation& violation : *detail.mutable_violations()) {
    // The container has the service's name.
    if (violation.field() == "spec.containers[0].name") continue;
    violation.set_field(FlagOf(violation.field(), flags));
    *out.add_violations() = violation;
  }
  return out.violations().empty() ? status : WithDetail(status, out);
}

absl::StatusOr<v1::Service> ServiceFromFlags(Context& context,
                                             const RunFlags& flags) {
  if (flags.detach && (flags.remove || flags.keep)) {
    return UsageError(
        "-d leaves the service running: --rm and --keep do not "
        "go with it");
  }
  v1::Service service;
  v1::Metadata& metadata = *service.mutable_metadata();
  RETURN_IF_ERROR(FillMetadata(context, flags, metadata));
  v1::ServiceSpec& spec = *service.mutable_spec();
  spec.set_replicas(1);
  v1::Container& container = *spec.add_containers();
  container.set_name(metadata.name());
  RETURN_IF_ERROR(FillContainer(context, flags, container));
  for (const std::string& text : flags.ports) {
    RETURN_IF_ERROR(
        Flag("-p", manifest::ReadShortForm(text, *spec.add_ports())));
  }
  spec.set_network(flags.network);
  RETURN_IF_ERROR(FillRestart(flags, *spec.mutable_restart()));
  // As long as docker stop waits.
  spec.mutable_stop()->mutable_timeout()->set_seconds(10);
  // There is no older revision that could be worth going back to.
  spec.mutable_rollout()->set_auto_rollback(false);
  return service;
}

absl::StatusOr<v1::Job> JobFromFlags(Context& context, const RunFlags& flags) {
  if (!flags.ports.empty()) {
    return UsageError(
        "-p needs a service: leave -i and -t out, or declare one with `stdin` "
        "or `tty`, and use ctl attach");
  }
  if (!flags.restart.empty() && flags.restart != "no" &&
      flags.restart != "never") {
    return UsageError(absl::StrCat("--restart ", flags.restart,
                                   ": what is run with -i or -t runs once"));
  }
  if (flags.keep && flags.remove) {
    return UsageError("--rm and --keep do not go together");
  }
  v1::Job job;
  RETURN_IF_ERROR(FillMetadata(context, flags, *job.mutable_metadata()));
  v1::JobSpec& spec = *job.mutable_spec();
  spec.set_completions(1);
  spec.set_parallelism(1);
  spec.set_backoff_limit(0);
  if (!flags.keep) spec.mutable_ttl_after_finished()->set_seconds(60);
  spec.set_network(flags.network);
  spec.mutable_stop()->mutable_timeout()->set_seconds(10);
  v1::Container& container = *spec.add_containers();
  container.set_name(job.metadata().name());
  container.set_stdin(flags.interactive);
  container.set_tty(flags.terminal);
  RETURN_IF_ERROR(FillContainer(context, flags, container));
  if (flags.terminal && context.io.out_tty()) {
    // Before its first command runs; attaching later would be too late for it.
    (*job.mutable_metadata()->mutable_labels())[kTerminalLabel] =
        absl::StrCat(context.io.rows(), "x", context.io.columns());
  }
  if (flags.terminal) {
    const auto has_term = [](const v1::EnvVar& v) {
      return v.name() == "TERM";
    };
    const auto term = context.environment("TERM");
    if (term && std::none_of(container.env().begin(), container.env().end(),
                             has_term)) {
      v1::EnvVar& variable = *container.add_env();
      variable.set_name("TERM");
      variable.set_value(*term);
    }
  }
  return job;
}

}  // namespace bulwark::ctl
