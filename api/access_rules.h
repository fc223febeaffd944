// What each RPC needs. An RPC without a rule does not compile: the methods come
// from api.proto and contexts.proto, and gate.cc holds this table against them.
#ifndef API_ACCESS_RULES_H_
#define API_ACCESS_RULES_H_

#include <string>

#include "absl/strings/string_view.h"
#include "api/rights.h"

namespace bulwark::api {

// Where a right is needed.
enum class Scope {
  kProject,   // in the project that the request names
  kShown,     // there; for "*" in some project, and only what the caller may
              // see is shown
  kObjects,   // in the project of each object, and by its content
  kMessage,   // as kProject, but of a stream's first message: the call asks
  kAnywhere,  // in some project: it is about no single one
  kHost,      // in project "default": it is about the whole host
};

// What the audit log keeps of a call. Refused ones are always kept.
enum class Audited {
  kNo,            // it changes nothing
  kCommit,        // one record, in one write with the change
  kAround,        // one before it begins, one when it has ended
  kAroundAlways,  // the same, also on a disk that is too full for others: it
                  // makes room, or stops things
};

struct AccessRule {
  absl::string_view method;
  Right right;
  Scope scope;
  Audited audited = Audited::kNo;
};

inline constexpr AccessRule kAccessRules[] = {
    {"/bulwark.v1.Resources/Apply", Right::kDeploy, Scope::kObjects,
     Audited::kCommit},
    {"/bulwark.v1.Resources/Get", Right::kView, Scope::kObjects},
    {"/bulwark.v1.Resources/List", Right::kView, Scope::kShown},
    {"/bulwark.v1.Resources/Watch", Right::kView, Scope::kShown},
    {"/bulwark.v1.Resources/Delete", Right::kDeploy, Scope::kObjects,
     Audited::kCommit},
    {"/bulwark.v1.Services/Scale", Right::kOperate, Scope::kProject,
     Audited::kCommit},
    {"/bulwark.v1.Services/Stop", Right::kOperate, Scope::kProject,
     Audited::kCommit},
    {"/bulwark.v1.Services/Start", Right::kOperate, Scope::kProject,
     Audited::kCommit},
    {"/bulwark.v1.Services/Undo", Right::kDeploy, Scope::kProject,
     Audited::kCommit},
    {"/bulwark.v1.Containers/Logs", Right::kView, Scope::kProject},
    {"/bulwark.v1.Containers/Exec", Right::kExec, Scope::kMessage,
     Audited::kAroundAlways},
    {"/bulwark.v1.Containers/Stats", Right::kView, Scope::kShown},
    {"/bulwark.v1.Containers/Attach", Right::kExec, Scope::kMessage,
     Audited::kAround},
    {"/bulwark.v1.Containers/CopyFrom", Right::kExec, Scope::kProject,
     Audited::kAround},
    {"/bulwark.v1.Containers/CopyTo", Right::kExec, Scope::kMessage,
     Audited::kAround},
    {"/bulwark.v1.Containers/Processes", Right::kView, Scope::kProject},
    {"/bulwark.v1.Containers/Pause", Right::kOperate, Scope::kProject,
     Audited::kAroundAlways},
    {"/bulwark.v1.Containers/Unpause", Right::kOperate, Scope::kProject,
     Audited::kAroundAlways},
    {"/bulwark.v1.Containers/Signal", Right::kOperate, Scope::kProject,
     Audited::kAroundAlways},
    {"/bulwark.v1.Containers/Wait", Right::kView, Scope::kProject},
    {"/bulwark.v1.Containers/Diff", Right::kView, Scope::kProject},
    {"/bulwark.v1.Containers/Export", Right::kExec, Scope::kProject,
     Audited::kAround},
    {"/bulwark.v1.Containers/Commit", Right::kExec, Scope::kProject,
     Audited::kAround},
    {"/bulwark.v1.Containers/Inspect", Right::kView, Scope::kProject},
    {"/bulwark.v1.Images/Pull", Right::kImages, Scope::kAnywhere,
     Audited::kAround},
    {"/bulwark.v1.Images/Load", Right::kImages, Scope::kAnywhere,
     Audited::kAround},
    {"/bulwark.v1.Images/Build", Right::kImages, Scope::kAnywhere,
     Audited::kAround},
    // It changes nothing that others see.
    {"/bulwark.v1.Contexts/Offer", Right::kImages, Scope::kAnywhere},
    {"/bulwark.v1.Images/List", Right::kView, Scope::kAnywhere},
    {"/bulwark.v1.Images/Remove", Right::kImages, Scope::kAnywhere,
     Audited::kAroundAlways},
    {"/bulwark.v1.Images/Tag", Right::kImages, Scope::kAnywhere,
     Audited::kAround},
    {"/bulwark.v1.Images/MakeIndex", Right::kImages, Scope::kAnywhere,
     Audited::kAround},
    {"/bulwark.v1.Images/Import", Right::kImages, Scope::kAnywhere,
     Audited::kAround},
    {"/bulwark.v1.Images/Push", Right::kImages, Scope::kAnywhere,
     Audited::kAround},
    {"/bulwark.v1.Images/Save", Right::kImages, Scope::kAnywhere,
     Audited::kAround},
    {"/bulwark.v1.Images/Inspect", Right::kView, Scope::kAnywhere},
    {"/bulwark.v1.Images/History", Right::kView, Scope::kAnywhere},
    {"/bulwark.v1.Images/Verify", Right::kAdmin, Scope::kHost,
     Audited::kAround},
    {"/bulwark.v1.Images/ListTags", Right::kImages, Scope::kAnywhere},
    {"/bulwark.v1.Images/ListReferrers", Right::kImages, Scope::kAnywhere},
    {"/bulwark.v1.Images/Login", Right::kAdmin, Scope::kHost, Audited::kCommit},
    {"/bulwark.v1.Images/Logout", Right::kAdmin, Scope::kHost,
     Audited::kCommit},
    {"/bulwark.v1.Secrets/Status", Right::kView, Scope::kAnywhere},
    {"/bulwark.v1.Secrets/Set", Right::kSecrets, Scope::kProject,
     Audited::kCommit},
    {"/bulwark.v1.Secrets/Rollback", Right::kDeploy, Scope::kProject,
     Audited::kCommit},
    {"/bulwark.v1.Secrets/RotateKey", Right::kAdmin, Scope::kHost,
     Audited::kCommit},
    {"/bulwark.v1.Secrets/Unseal", Right::kAdmin, Scope::kHost,
     Audited::kAround},
    {"/bulwark.v1.Volumes/Snapshot", Right::kOperate, Scope::kProject,
     Audited::kAround},
    {"/bulwark.v1.Volumes/DeleteSnapshot", Right::kOperate, Scope::kProject,
     Audited::kAroundAlways},
    {"/bulwark.v1.Volumes/Restore", Right::kOperate, Scope::kProject,
     Audited::kAround},
    {"/bulwark.v1.Volumes/Clone", Right::kOperate, Scope::kProject,
     Audited::kAround},
    {"/bulwark.v1.Volumes/Backup", Right::kOperate, Scope::kProject,
     Audited::kAround},
    {"/bulwark.v1.Volumes/ListBackups", Right::kView, Scope::kProject},
    {"/bulwark.v1.Jobs/Trigger", Right::kOperate, Scope::kProject,
     Audited::kCommit},
    {"/bulwark.v1.System/Version", Right::kView, Scope::kAnywhere},
    {"/bulwark.v1.System/Doctor", Right::kView, Scope::kAnywhere},
    {"/bulwark.v1.System/DiskUsage", Right::kView, Scope::kAnywhere},
    {"/bulwark.v1.System/Prune", Right::kAdmin, Scope::kHost,
     Audited::kAroundAlways},
    {"/bulwark.v1.System/Audit", Right::kAdmin, Scope::kHost},
    {"/bulwark.v1.System/VerifyAudit", Right::kAdmin, Scope::kHost},
    {"/bulwark.v1.System/Backup", Right::kAdmin, Scope::kHost,
     Audited::kAround},
    {"/bulwark.v1.System/Restore", Right::kAdmin, Scope::kHost,
     Audited::kAround},
    {"/bulwark.v1.System/Shutdown", Right::kAdmin, Scope::kHost,
     Audited::kAroundAlways},
};

// "Services.Scale" of "/bulwark.v1.Services/Scale".
std::string ShortName(absl::string_view method);

constexpr const AccessRule* FindRule(absl::string_view method) {
  for (const AccessRule& rule : kAccessRules) {
    if (rule.method == method) return &rule;
  }
  return nullptr;
}

// An RPC by its name, which must have a rule: checked by the compiler.
class Method {
 public:
  consteval Method(const char* name)  // NOLINT(google-explicit-constructor)
      : rule_(*FindRule(name)) {}

  const AccessRule& rule() const { return rule_; }

 private:
  const AccessRule& rule_;
};

// One whose rule does not look into the request: for streams.
class StreamMethod {
 public:
  consteval StreamMethod(const char* name)  // NOLINT
      : rule_(Checked(*FindRule(name))) {}

  const AccessRule& rule() const { return rule_; }

 private:
  static consteval const AccessRule& Checked(const AccessRule& rule) {
    if (rule.scope == Scope::kProject || rule.scope == Scope::kShown ||
        rule.scope == Scope::kObjects) {
      throw "its rule needs the request: hand it to Gate::Run()";
    }
    return rule;
  }

  const AccessRule& rule_;
};

}  // namespace bulwark::api

#endif  // API_ACCESS_RULES_H_
