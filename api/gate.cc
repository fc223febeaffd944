#include "api/gate.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

constexpr AccessRule kRules[] = {
    {"/bulwark.v1.Resources/Apply", Right::kDeploy},
    {"/bulwark.v1.Resources/Get", Right::kView},
    {"/bulwark.v1.Resources/List", Right::kView},
    {"/bulwark.v1.Resources/Watch", Right::kView},
    {"/bulwark.v1.Resources/Delete", Right::kDeploy},
    {"/bulwark.v1.Services/Scale", Right::kOperate},
    {"/bulwark.v1.Services/Stop", Right::kOperate},
    {"/bulwark.v1.Services/Start", Right::kOperate},
    {"/bulwark.v1.Services/Undo", Right::kOperate},
    {"/bulwark.v1.Containers/Logs", Right::kView},
    {"/bulwark.v1.Containers/Exec", Right::kExec},
    {"/bulwark.v1.Containers/Stats", Right::kView},
    {"/bulwark.v1.Images/Pull", Right::kImages},
    {"/bulwark.v1.Images/Load", Right::kImages},
    {"/bulwark.v1.Images/Build", Right::kImages},
    {"/bulwark.v1.Images/List", Right::kView},
    {"/bulwark.v1.Images/Remove", Right::kImages},
    {"/bulwark.v1.Images/Tag", Right::kImages},
    {"/bulwark.v1.Images/Login", Right::kImages},
    {"/bulwark.v1.Images/Logout", Right::kImages},
    {"/bulwark.v1.Secrets/Status", Right::kView},
    {"/bulwark.v1.Secrets/Set", Right::kDeploy},
    {"/bulwark.v1.Secrets/Rollback", Right::kDeploy},
    {"/bulwark.v1.Secrets/RotateKey", Right::kAdmin},
    {"/bulwark.v1.Secrets/Unseal", Right::kAdmin},
    {"/bulwark.v1.Volumes/Snapshot", Right::kOperate},
    {"/bulwark.v1.Volumes/DeleteSnapshot", Right::kOperate},
    {"/bulwark.v1.Volumes/Restore", Right::kOperate},
    {"/bulwark.v1.Volumes/Clone", Right::kOperate},
    {"/bulwark.v1.Volumes/Backup", Right::kOperate},
    {"/bulwark.v1.Volumes/ListBackups", Right::kView},
    {"/bulwark.v1.Jobs/Trigger", Right::kOperate},
    {"/bulwark.v1.System/Version", Right::kView},
    {"/bulwark.v1.System/Doctor", Right::kView},
    {"/bulwark.v1.System/DiskUsage", Right::kView},
    {"/bulwark.v1.System/Prune", Right::kAdmin},
    {"/bulwark.v1.System/Audit", Right::kAdmin},
    {"/bulwark.v1.System/VerifyAudit", Right::kAdmin},
    {"/bulwark.v1.System/Backup", Right::kAdmin},
    {"/bulwark.v1.System/Restore", Right::kAdmin},
    {"/bulwark.v1.System/Shutdown", Right::kAdmin},
};

}  // namespace

absl::Span<const AccessRule> AccessRules() { return kRules; }

absl::Status AllowAll(const v1::Identity&, Right) { return absl::OkStatus(); }

absl::StatusOr<v1::Identity> Gate::Enter(const std::string& peer,
                                         absl::string_view method) const {
  std::optional<v1::Identity> caller = identities_.Find(peer);
  if (!caller.has_value()) {
    return absl::UnauthenticatedError(
        absl::StrCat("call ", method, ": the connection is not known"));
  }
  for (const AccessRule& rule : kRules) {
    if (rule.method != method) continue;
    RETURN_IF_ERROR(authorizer_(*caller, rule.right));
    return *std::move(caller);
  }
  return absl::PermissionDeniedError(
      absl::StrCat("call ", method, ": no rule allows it"));
}

}  // namespace bulwark::api
