#include "engine/build/scope.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace bulwark::engine::build {
namespace {

bool IsProxy(const std::string& name) {
  std::string upper = absl::AsciiStrToUpper(name);
  return upper == "HTTP_PROXY" || upper == "HTTPS_PROXY" ||
         upper == "FTP_PROXY" || upper == "NO_PROXY" || upper == "ALL_PROXY";
}

constexpr char kEpoch[] = "SOURCE_DATE_EPOCH";
constexpr int64_t kMaxEpoch = 253'402'300'799;  // 9999-12-31

// Arguments that are meant for the builder, not for the file.
bool IsOwn(const std::string& name) {
  return name == kEpoch || absl::StartsWith(name, "BUILDKIT_");
}

std::optional<std::string> ValueIn(
    const std::map<std::string, std::string>& values, absl::string_view name) {
  auto it = values.find(std::string(name));
  if (it == values.end()) return std::nullopt;
  return it->second;
}

}  // namespace

GlobalScope::GlobalScope(const std::map<std::string, std::string>& given,
                         const image::Platform& target,
                         const image::Platform& build, const std::string& stage)
    : given_(given) {
  const auto set = [this](const char* prefix, const image::Platform& platform) {
    automatic_[absl::StrCat(prefix, "PLATFORM")] = platform.ToString();
    automatic_[absl::StrCat(prefix, "OS")] = platform.os;
    automatic_[absl::StrCat(prefix, "OSVERSION")] = "";
    automatic_[absl::StrCat(prefix, "ARCH")] = platform.architecture;
    automatic_[absl::StrCat(prefix, "VARIANT")] = platform.variant;
  };
  set("TARGET", target);
  set("BUILD", build);
  automatic_["TARGETSTAGE"] = stage.empty() ? "default" : stage;
  for (auto& [name, value] : automatic_) {
    auto it = given_.find(name);
    if (it == given_.end()) continue;
    value = it->second;
    used_.insert(name);
  }
}

void GlobalScope::Declare(const std::string& name,
                          const std::optional<std::string>& fallback) {
  names_.insert(name);
  std::optional<std::string> value = Given(name);
  if (!value.has_value()) value = fallback;
  if (value.has_value()) declared_[name] = *value;
}

bool GlobalScope::Declares(absl::string_view name) const {
  return names_.count(std::string(name)) > 0;
}

std::vector<std::string> GlobalScope::Names() const {
  std::vector<std::string> result(names_.begin(), names_.end());
  for (const auto& [name, value] : automatic_) result.push_back(name);
  return result;
}

absl::StatusOr<std::optional<absl::Time>> GlobalScope::SourceDateEpoch() const {
  std::optional<std::string> text = ValueIn(given_, kEpoch);
  if (!text.has_value()) text = ValueIn(declared_, kEpoch);
  if (!text.has_value() || text->empty()) return std::optional<absl::Time>();
  int64_t seconds = 0;
  if (!absl::SimpleAtoi(*text, &seconds) || seconds < 0 ||
      seconds > kMaxEpoch) {
    return absl::InvalidArgumentError(
        absl::StrCat(kEpoch, "=", *text,
                     ": it is not a number of seconds since 1970; date +%s"
                     " prints the present one"));
  }
  return std::optional<absl::Time>(absl::FromUnixSeconds(seconds));
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
    if (used_.count(name) == 0 && !IsProxy(name) && !IsOwn(name)) {
      result.push_back(name);
    }
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
  names_.insert(name);
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
