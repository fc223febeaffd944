#include "scheduler/rollout/inputs.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "scheduler/rollout/template.h"

namespace bulwark::scheduler {
namespace {

using Names = std::set<std::pair<std::string, std::string>>;

void Collect(const v1::Container& container, Names& names) {
  for (const v1::SecretMount& mount : container.secrets()) {
    names.emplace("secret", mount.name());
  }
  for (const v1::ConfigMount& mount : container.configs()) {
    names.emplace("config", mount.name());
  }
}

std::vector<v1::InputVersion> ToInputs(const Names& names) {
  std::vector<v1::InputVersion> inputs;
  for (const auto& [kind, name] : names) {
    v1::InputVersion input;
    input.set_kind(kind);
    input.set_name(name);
    inputs.push_back(std::move(input));
  }
  return inputs;
}

int64_t Newest(const InputVersions& current, const std::string& kind,
               const std::string& name) {
  const auto found = current.find({kind, name});
  return found == current.end() ? 0 : found->second;
}

}  // namespace

std::vector<v1::InputVersion> InputsOf(const v1::Template& t) {
  Names names;
  for (const v1::Container* container : ContainersOf(t)) {
    Collect(*container, names);
  }
  return ToInputs(names);
}

std::vector<v1::InputVersion> InputsOf(const v1::Container& container) {
  Names names;
  Collect(container, names);
  return ToInputs(names);
}

v1::Template DeclaredTemplate(const v1::ServiceSpec& spec,
                              const InputVersions& current) {
  v1::Template t = TemplateOf(spec);
  const bool swap = spec.on_change().action() == v1::ChangePolicy::SWAP;
  for (v1::InputVersion& input : InputsOf(t)) {
    if (!swap) {
      input.set_version(Newest(current, input.kind(), input.name()));
    }
    *t.add_inputs() = std::move(input);
  }
  return t;
}

std::vector<std::string> MissingInputs(const v1::Template& t,
                                       const InputVersions& current) {
  std::vector<std::string> missing;
  for (const v1::InputVersion& input : InputsOf(t)) {
    if (Newest(current, input.kind(), input.name()) > 0) continue;
    missing.push_back(
        absl::StrCat("waits for ", input.kind(), " ", input.name(),
                     ", which does not exist; `ctl ", input.kind(), " create ",
                     input.name(), "` makes it"));
  }
  return missing;
}

std::vector<OtherVersion> OtherVersions(const v1::Template& from,
                                        const v1::Template& to) {
  std::vector<OtherVersion> others;
  for (const v1::InputVersion& now : to.inputs()) {
    for (const v1::InputVersion& before : from.inputs()) {
      if (before.kind() != now.kind() || before.name() != now.name()) continue;
      // Of files that are swapped nobody pins a version.
      if (before.version() == 0 || now.version() == 0) continue;
      if (before.version() == now.version()) continue;
      others.push_back(
          {now.kind(), now.name(), before.version(), now.version()});
    }
  }
  return others;
}

std::string InWords(const std::vector<OtherVersion>& versions) {
  std::vector<std::string> parts;
  for (const OtherVersion& v : versions) {
    parts.push_back(absl::StrCat("version ", v.to, " of ", v.kind, " ", v.name,
                                 " instead of ", v.from));
  }
  return absl::StrJoin(parts, ", ");
}

bool ReadsSecrets(const v1::Template& t) {
  for (const v1::Container* container : ContainersOf(t)) {
    if (!container->secrets().empty()) return true;
  }
  return false;
}

int64_t VersionFor(const v1::Template& t, const std::string& kind,
                   const std::string& name, const InputVersions& current) {
  for (const v1::InputVersion& input : t.inputs()) {
    if (input.kind() == kind && input.name() == name && input.version() > 0) {
      return input.version();
    }
  }
  return Newest(current, kind, name);
}

}  // namespace bulwark::scheduler
