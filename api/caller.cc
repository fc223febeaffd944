#include "api/caller.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/errors.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

// As members are written: a name with a colon is no user's.
std::string MemberName(const v1::Identity& identity) {
  return absl::StrContains(identity.name(), ':') ? absl::StrCat(identity.uid())
                                                 : identity.name();
}

absl::Status Denied(const v1::Identity& caller, const Demand& demand) {
  // The caller's own project, where there are two.
  const std::string& project = demand.projects.back();
  const bool any = project == kAnyProject;
  const absl::Status status = absl::PermissionDeniedError(absl::StrCat(
      demand.what, demand.what.empty() ? "" : ": ", caller.name(),
      " lacks the right \"", NameOf(demand.right), "\" in ",
      any ? "every project"
          : absl::StrCat("project ", absl::StrJoin(demand.projects, " and "))));
  return WithRemedy(
      status,
      absl::StrCat(
          "an admin can add {user: ", MemberName(caller), ", ",
          GrantOf(demand.right), "} to the members of ",
          any ? "a project"
              : absl::StrCat("project ", project, " (ctl get project ", project,
                             " -o manifest, then ctl apply)")));
}

}  // namespace

absl::StatusOr<Rights> AllowAll(const Peer&, const std::string&) {
  return Rights::All();
}

absl::Status Caller::Require(Right right, const std::string& project,
                             absl::string_view what) const {
  return Require({{right, {project}, std::string(what)}});
}

absl::Status Caller::Require(const std::vector<Demand>& demands) const {
  for (const Demand& demand : demands) {
    bool met = false;
    for (const std::string& project : demand.projects) {
      ASSIGN_OR_RETURN(const Rights rights, (*authorizer_)(peer_, project));
      met = met || rights.Has(demand.right);
    }
    if (!met) return Denied(peer_.identity, demand);
  }
  return absl::OkStatus();
}

bool Caller::Can(Right right, const std::string& project) const {
  const absl::StatusOr<Rights> rights = (*authorizer_)(peer_, project);
  return rights.ok() && rights->Has(right);
}

bool Caller::Sees(const v1::Object& object) const {
  return Can(Right::kView, VisibleIn(object));
}

}  // namespace bulwark::api
