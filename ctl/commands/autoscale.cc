// ctl autoscale: let a service's replicas follow its load.
#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/units.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/objects.h"

namespace bulwark::ctl {
namespace {

constexpr int kAttempts = 20;

struct Flags {
  std::string service;
  int64_t min = 0;
  int64_t max = 0;
  std::string cpu, memory;
  int64_t connections = 0;
  bool off = false;
};

bool NamesMetrics(const Flags& flags) {
  return !flags.cpu.empty() || !flags.memory.empty() || flags.connections != 0;
}

// Other fields of the autoscaler, and metrics unless some are given, stay.
absl::Status Change(const Flags& flags, v1::ServiceSpec& spec) {
  v1::Autoscale& autoscale = *spec.mutable_autoscale();
  if (flags.min != 0) {
    autoscale.set_min_replicas(static_cast<int32_t>(flags.min));
  }
  if (flags.max != 0) {
    autoscale.set_max_replicas(static_cast<int32_t>(flags.max));
  }
  if (!NamesMetrics(flags)) return absl::OkStatus();
  autoscale.clear_metrics();
  if (!flags.cpu.empty()) {
    ASSIGN_OR_RETURN(const int32_t percent, ParsePercent(flags.cpu));
    autoscale.add_metrics()->set_cpu(percent);
  }
  if (!flags.memory.empty()) {
    ASSIGN_OR_RETURN(const int32_t percent, ParsePercent(flags.memory));
    autoscale.add_metrics()->set_memory(percent);
  }
  if (flags.connections != 0) {
    autoscale.add_metrics()->set_connections(flags.connections);
  }
  return absl::OkStatus();
}

absl::Status CheckFlags(const Flags& flags) {
  if (flags.off) {
    if (flags.min == 0 && flags.max == 0 && !NamesMetrics(flags)) {
      return absl::OkStatus();
    }
    return UsageError("--off goes with no other flag");
  }
  if (flags.min != 0 || flags.max != 0 || NamesMetrics(flags)) {
    return absl::OkStatus();
  }
  return UsageError(
      "give --max and a metric, e.g. ctl autoscale web --max 10 --cpu 70%");
}

// Reads the service, changes it and applies it, unless somebody else wrote it
// in between.
absl::StatusOr<v1::ApplyResponse> TryOnce(Context& context, const Flags& flags,
                                          const std::string& name) {
  ASSIGN_OR_RETURN(v1::Object object,
                   GetObject(context, *manifest::FindKind("service"), name));
  v1::ServiceSpec& spec = *object.mutable_service()->mutable_spec();
  if (flags.off) {
    spec.clear_autoscale();
  } else {
    RETURN_IF_ERROR(Change(flags, spec));
  }
  object.mutable_service()->clear_status();
  v1::ApplyRequest request;
  *request.add_objects() = object;
  return context.client().Apply(request);
}

absl::StatusOr<int> Run(Context& context, const Flags& flags) {
  RETURN_IF_ERROR(CheckFlags(flags));
  ASSIGN_OR_RETURN(const std::string name,
                   NameOfKind(flags.service, "service"));
  absl::StatusOr<v1::ApplyResponse> response = TryOnce(context, flags, name);
  // A service's status is written often.
  for (int i = 1; i < kAttempts && absl::IsAborted(response.status()); ++i) {
    response = TryOnce(context, flags, name);
  }
  RETURN_IF_ERROR(response.status());
  v1::ServiceSpec spec;
  for (const v1::ApplyResult& result : response->results()) {
    spec = result.object().service().spec();
    for (const std::string& warning : result.warnings()) {
      context.io.Err(
          absl::StrCat("warning: service ", name, ": ", warning, "\n"));
    }
  }
  const v1::Autoscale& autoscale = spec.autoscale();
  context.io.Out(
      flags.off
          ? absl::StrCat("service ", name, " is not autoscaled any more: it ",
                         "has the replicas that it declares, ",
                         spec.has_replicas() ? spec.replicas() : 1, "\n")
          : absl::StrCat("service ", name, " autoscaled from ",
                         std::max(1, autoscale.min_replicas()), " to ",
                         autoscale.max_replicas(), "\n"));
  return kExitOk;
}

}  // namespace

void AddAutoscale(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "autoscale", "Let a service's replicas follow its load")
      .Word("SERVICE", flags->service, "The service", Command::kRequired)
      .Option("--min", flags->min, "Fewest replicas [1]")
      .Option("--max", flags->max, "Most replicas")
      .Option("--cpu", flags->cpu,
              "Target: percent of the request, else of the limit, e.g. 70%")
      .Option("--memory", flags->memory, "The same of memory")
      .Option("--connections", flags->connections,
              "Target: established connections for each replica")
      .Flag("--off", flags->off, "Stop autoscaling; `replicas` counts again")
      .Action([flags](Context& c) { return Run(c, *flags); });
}

}  // namespace bulwark::ctl
