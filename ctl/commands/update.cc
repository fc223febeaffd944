// ctl update: limits of what runs, in place.
#include <cstdint>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/objects.h"
#include "manifest/shorthand.h"

namespace bulwark::ctl {
namespace {

constexpr int kAttempts = 20;
constexpr int64_t kNotGiven = INT64_MIN;

struct Flags {
  std::string target;
  std::string container;
  std::string memory;
  std::string cpus;
  int64_t pids = kNotGiven;
};

absl::Status Read(absl::string_view flag, const std::string& text,
                  google::protobuf::Message& to) {
  if (text.empty()) return absl::OkStatus();
  const absl::Status status = manifest::ReadShortForm(text, to);
  return status.ok() ? status
                     : UsageError(absl::StrCat(flag, ": ", status.message()));
}

template <typename Containers>
absl::Status Change(const Flags& flags, Containers& containers) {
  std::string known;
  for (v1::Container& container : containers) {
    absl::StrAppend(&known, known.empty() ? "" : ", ", container.name());
    if (!flags.container.empty() && container.name() != flags.container) {
      continue;
    }
    v1::ResourceLimits& limits = *container.mutable_resources();
    if (!flags.memory.empty()) {
      RETURN_IF_ERROR(Read("--memory", flags.memory, *limits.mutable_memory()));
    }
    if (!flags.cpus.empty()) {
      RETURN_IF_ERROR(Read("--cpus", flags.cpus, *limits.mutable_cpu()));
    }
    if (flags.pids != kNotGiven)
      limits.set_pids(static_cast<int32_t>(flags.pids));
    return absl::OkStatus();
  }
  return WithRemedy(
      absl::NotFoundError(absl::StrCat(
          "update ", flags.target, ": it has no container ", flags.container)),
      absl::StrCat("it has: ", known));
}

// The object goes back with its version: a change that came in between is an
// error, and tried again.
absl::StatusOr<v1::ApplyResponse> TryOnce(Context& context, const Flags& flags,
                                          const std::string& kind,
                                          const std::string& name) {
  ASSIGN_OR_RETURN(v1::Object object,
                   GetObject(context, *manifest::FindKind(kind), name));
  if (object.has_job()) {
    RETURN_IF_ERROR(Change(
        flags, *object.mutable_job()->mutable_spec()->mutable_containers()));
    object.mutable_job()->clear_status();
  } else {
    RETURN_IF_ERROR(Change(
        flags,
        *object.mutable_service()->mutable_spec()->mutable_containers()));
    object.mutable_service()->clear_status();
  }
  v1::ApplyRequest request;
  *request.add_objects() = std::move(object);
  return context.client().Apply(request);
}

absl::StatusOr<int> Run(Context& context, const Flags& flags) {
  if (flags.memory.empty() && flags.cpus.empty() && flags.pids == kNotGiven) {
    return UsageError("give --memory, --cpus or --pids");
  }
  if (flags.pids != kNotGiven && (flags.pids < 1 || flags.pids > INT32_MAX)) {
    return UsageError(absl::StrCat("--pids ", flags.pids,
                                   ": a number from 1 to ", INT32_MAX));
  }
  absl::string_view name = flags.target;
  const bool job = absl::ConsumePrefix(&name, "job/");
  if (!job) {
    for (absl::string_view kind : {"service/", "svc/"}) {
      if (absl::ConsumePrefix(&name, kind)) break;
    }
  }
  const std::string kind = job ? "job" : "service";
  absl::StatusOr<v1::ApplyResponse> response =
      TryOnce(context, flags, kind, std::string(name));
  for (int i = 1; i < kAttempts && absl::IsAborted(response.status()); ++i) {
    response = TryOnce(context, flags, kind, std::string(name));
  }
  RETURN_IF_ERROR(response.status());
  for (const v1::ApplyResult& result : response->results()) {
    for (const std::string& warning : result.warnings()) {
      context.io.Err(absl::StrCat("warning: ", warning, "\n"));
    }
    context.io.Out(absl::StrCat(kind, " ", name,
                                result.action() == v1::ApplyResult::UNCHANGED
                                    ? " unchanged\n"
                                    : " updated\n"));
  }
  return kExitOk;
}

}  // namespace

void AddUpdate(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "update",
          "Change limits of a service or job; its containers run on")
      .Word("TARGET", flags->target, "SERVICE or job/NAME", Command::kRequired)
      .Option("-m,--memory", flags->memory, "256Mi")
      .Option("--cpus", flags->cpus, "0.5, 500m")
      .Option("--pids", flags->pids, "Processes and threads")
      .Option("-c,--container", flags->container, "Default: the first one")
      .Action([flags](Context& c) { return Run(c, *flags); });
}

}  // namespace bulwark::ctl
