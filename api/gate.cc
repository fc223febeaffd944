#include "api/gate.h"

#include <iterator>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "api/audit/describe.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

// Every RPC of api.proto, generated from it.
constexpr absl::string_view kMethods[] = {
#include "api/methods.inc"
};

constexpr bool EveryMethodHasOneRule() {
  for (const absl::string_view method : kMethods) {
    int rules = 0;
    for (const AccessRule& rule : kAccessRules) {
      if (rule.method == method) ++rules;
    }
    if (rules != 1) return false;
  }
  return std::size(kMethods) == std::size(kAccessRules);
}

static_assert(EveryMethodHasOneRule(),
              "each RPC of api.proto needs exactly one row in "
              "api/access_rules.h, and each row an RPC");

}  // namespace

std::string ShortName(absl::string_view method) {
  return absl::StrReplaceAll(absl::StripPrefix(method, "/bulwark.v1."),
                             {{"/", "."}});
}

absl::StatusOr<Caller> Gate::Enter(
    const std::string& peer, const AccessRule& rule,
    const google::protobuf::Message* request) const {
  std::optional<Peer> who = identities_.Find(peer);
  if (!who.has_value()) {
    return absl::UnauthenticatedError(
        absl::StrCat("call ", rule.method, ": the connection is not known"));
  }
  Caller caller(*std::move(who), authorizer_);
  caller.set_record(std::make_shared<CallRecord>(
      log_, &refusals_, rule,
      Describe(rule.method, caller.identity(), request)));
  const absl::Status allowed =
      Annotate(caller.Require(DemandsOf(rule, request)),
               absl::StrCat("call ", ShortName(rule.method)));
  if (!allowed.ok()) {
    caller.record()->End(allowed);
    return allowed;
  }
  if (rule.scope != Scope::kMessage) {
    RETURN_IF_ERROR(caller.record()->Begin());
  }
  return caller;
}

}  // namespace bulwark::api
