// config.json, and all that follows from it without the kernel: the filter, the
// control files, the device rules, the launch plan.
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/child/steps.h"
#include "engine/oci/cgroup/cgroup_settings.h"
#include "engine/oci/cgroup/device_rules.h"
#include "engine/oci/compile.h"
#include "engine/oci/config/parse.h"
#include "engine/oci/config/seccomp.h"
#include "tests/fuzz/input.h"

namespace bulwark::engine::oci {
namespace {

// The input is to blame, or the host; never us.
void ExpectBlame(const absl::Status& status) {
  CHECK(!status.message().empty());
  CHECK(status.code() == absl::StatusCode::kInvalidArgument ||
        status.code() == absl::StatusCode::kFailedPrecondition ||
        status.code() == absl::StatusCode::kResourceExhausted);
}
template <typename T>
void ExpectBlame(const absl::StatusOr<T>& result) {
  if (!result.ok()) ExpectBlame(result.status());
}

void TryResources(const Resources& resources) {
  ExpectBlame(CgroupSettingsV1(resources));
  ExpectBlame(CgroupSettingsV2(resources));
  const absl::StatusOr<DevicePolicy> policy =
      CompileDeviceRules(resources.devices);
  if (!policy.ok()) return ExpectBlame(policy.status());
  ExpectBlame(DeviceLinesV1(*policy));
}

// What is compiled, the shim accepts.
void TryPlan(const absl::StatusOr<CompiledPlan>& plan) {
  if (!plan.ok()) return ExpectBlame(plan.status());
  const auto context = std::make_unique<child::Context>();
  CHECK(child::OpenPlan(reinterpret_cast<const uint8_t*>(plan->bytes.data()),
                        plan->bytes.size(), context.get()) == 0);
}

void TryLaunch(const Spec& spec) {
  SeccompProgram filter;
  if (spec.linux_.seccomp.has_value()) {
    absl::StatusOr<SeccompProgram> program =
        CompileSeccomp(*spec.linux_.seccomp);
    if (!program.ok()) return ExpectBlame(program.status());
    filter = *std::move(program);
  }
  const CgroupHost host = {"/sys/fs/cgroup/unified",
                           {{"memory", "/sys/fs/cgroup/memory"}}};
  const CgroupRecord cgroup = {"/a", "/sys/fs/cgroup/unified/a", {}, ""};
  LaunchParts parts = {host, cgroup, filter};
  parts.start_fifo = "/run/x/start";
  parts.start_error = "/run/x/error";
  parts.has_hooks = !spec.hooks.prestart.empty();
  parts.mount_namespaces.assign(spec.mounts.size(), "/proc/self/ns/user");
  parts.own_capabilities = ~0ull;
  TryPlan(CompileCreate(spec, parts));
  if (!spec.process.has_value()) return;
  TryPlan(CompileExec(*spec.process, {0, cgroup, filter, ~0ull}));
}

void Try(const std::string& text) {
  const absl::StatusOr<Spec> spec = ParseSpec(text, "/bundle");
  if (!spec.ok()) {
    CHECK(spec.status().code() == absl::StatusCode::kInvalidArgument);
    return ExpectBlame(spec.status());
  }
  CHECK(!spec->version.empty());
  CHECK(!spec->root.empty() && spec->root[0] == '/');
  if (spec->process.has_value()) {
    CHECK(!spec->process->cwd.empty() && spec->process->cwd[0] == '/');
  }
  TryResources(spec->linux_.resources);
  TryLaunch(*spec);
  // As `create` takes a configuration that has nothing to start.
  if (spec->process.has_value()) return;
  Spec empty = *spec;
  empty.process.emplace().cwd = "/";
  TryLaunch(empty);
}

}  // namespace
}  // namespace bulwark::engine::oci

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bulwark::engine::oci;
  bulwark::fuzz::Input input(data, size);
  const std::string text = input.Rest();
  Try(text);
  // The parts that other verbs read alone.
  ExpectBlame(ParseProcess(text));
  ExpectBlame(ParseResources(text));
  return 0;
}
