#include "api/rights.h"

#include "absl/strings/str_cat.h"

namespace bulwark::api {
namespace {

constexpr absl::string_view kNames[kRights] = {
    "view",    "deploy",     "images",     "operate", "exec",
    "secrets", "host-paths", "privileged", "admin",
};

// Each role has what the one before it has.
constexpr Rights kViewer = {Right::kView};
constexpr Rights kDeployer = {Right::kView, Right::kDeploy, Right::kImages};
constexpr Rights kOperator = {Right::kView, Right::kDeploy, Right::kImages,
                              Right::kOperate, Right::kExec};

}  // namespace

absl::string_view NameOf(Right right) {
  return kNames[static_cast<size_t>(right)];
}

Rights RightsOf(v1::Member::Role role) {
  switch (role) {
    case v1::Member::VIEWER:
      return kViewer;
    case v1::Member::DEPLOYER:
      return kDeployer;
    case v1::Member::OPERATOR:
      return kOperator;
    case v1::Member::ADMIN:
      return Rights::All();
    default:
      return Rights();
  }
}

Rights RightsOf(const v1::Member& member) {
  Rights rights = RightsOf(member.role());
  for (const int right : member.rights()) {
    switch (right) {
      case v1::Member::EXEC:
        rights.Add(Right::kExec);
        break;
      case v1::Member::SECRETS:
        rights.Add(Right::kSecrets);
        break;
      case v1::Member::HOST_PATHS:
        rights.Add(Right::kHostPaths);
        break;
      case v1::Member::PRIVILEGED:
        rights.Add(Right::kPrivileged);
        break;
      default:
        break;
    }
  }
  return rights;
}

std::string GrantOf(Right right) {
  switch (right) {
    case Right::kView:
      return "role: viewer";
    case Right::kDeploy:
    case Right::kImages:
      return "role: deployer";
    case Right::kOperate:
      return "role: operator";
    case Right::kExec:
    case Right::kSecrets:
    case Right::kHostPaths:
    case Right::kPrivileged:
      return absl::StrCat("role: deployer, rights: [", NameOf(right), "]");
    case Right::kAdmin:
      return "role: admin";
  }
  return "role: admin";
}

}  // namespace bulwark::api
