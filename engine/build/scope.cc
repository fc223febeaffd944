#include "engine/build/scope.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace bulwark::engine::build {
namespace {

bool IsProxy(const std::string& name) {
  std::string upper = absl::AsciiStrToUpper(name);
  return upper == "HTTP_PROXY" || upper == "HTTPS_PROXY" ||
         upper == "FTP_PROXY" || upper == "NO_PROXY" || upper == "ALL_PROXY";
}

std::optional<std::string> ValueIn(
    const std::map<std::string, std::string>& values, absl::string_view name) {
  auto it = values.find(std::string(name));
  if (it == values.end()) return std::nullopt;
  return it->second;
}

}  // namespace

GlobalScope::GlobalScope(const std::map<std::string, std::string>& given,
                         const image::Platform& platform)
    : given_(given) {
  for (const char* prefix : {"TARGET", "BUILD"}) {
    automatic_[absl::StrCat(prefix, "PLATFORM")] = platform.ToString();
    automatic_[absl::StrCat(prefix, "OS")] = platform.os;
    automatic_[absl::StrCat(prefix, "ARCH")] = platform.architecture;
    automatic_[absl::StrCat(prefix, "VARIANT")] = platform.variant;
  }
}

void GlobalScope::Declare(const std::string& name,
                          const std::optional<std::string>& fallback) {
  std::optional<std::string> value = Given(name);
  if (!value.has_value()) value = fallback;
  if (value.has_value()) declared_[name] = *value;
}

std::optional<std::string> GlobalScope::Get(absl::string_view name) const {
  std::optional<std::string> value = ValueIn(declared_, name);
  return value.has_value() ? value : ValueIn(automatic_, name);
}

std::optional<std::string> GlobalScope::Given(const std::string& name) {
  used_.insert(name);
  return ValueIn(given_, name);
}

std::optional<std::string> GlobalScope::Automatic(
    const std::string& name) const {
  return ValueIn(automatic_, name);
}

std::vector<std::string> GlobalScope::Unused() const {
  std::vector<std::string> result;
  for (const auto& [name, value] : given_) {
    if (used_.count(name) == 0 && !IsProxy(name)) result.push_back(name);
  }
  return result;
}

std::map<std::string, std::string> GlobalScope::Proxies() const {
  std::map<std::string, std::string> result;
  for (const auto& [name, value] : given_) {
    if (IsProxy(name)) result[name] = value;
  }
  return result;
}

void StageScope::Declare(const std::string& name,
                         const std::optional<std::string>& fallback) {
  std::optional<std::string> value = global_->Given(name);
  if (!value.has_value()) value = fallback;
  if (!value.has_value()) value = global_->Get(name);
  if (value.has_value()) {
    values_[name] = *value;
  } else {
    values_.erase(name);
  }
}

std::optional<std::string> StageScope::Get(absl::string_view name) const {
  return ValueIn(values_, name);
}

std::optional<std::string> FindEnv(const std::vector<std::string>& env,
                                   absl::string_view name) {
  std::string prefix = absl::StrCat(name, "=");
  for (const std::string& entry : env) {
    if (absl::StartsWith(entry, prefix)) return entry.substr(prefix.size());
  }
  return std::nullopt;
}

void SetEnv(std::vector<std::string>* env, const std::string& name,
            const std::string& value) {
  std::string prefix = absl::StrCat(name, "=");
  for (std::string& entry : *env) {
    if (!absl::StartsWith(entry, prefix)) continue;
    entry = prefix + value;
    return;
  }
  env->push_back(prefix + value);
}

}  // namespace bulwark::engine::build
