#include "store/values.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace bulwark::store {

Key ValueKey(absl::string_view kind, absl::string_view project,
             absl::string_view name, int64_t version) {
  return Key{std::string(kind),
             std::string(project.empty() ? "default" : project),
             absl::StrCat(name, "@", version)};
}

std::optional<ValueName> ParseValueName(absl::string_view text) {
  const size_t at = text.rfind('@');
  ValueName result;
  if (at == absl::string_view::npos || at == 0 ||
      !absl::SimpleAtoi(text.substr(at + 1), &result.version) ||
      result.version < 1) {
    return std::nullopt;
  }
  result.name = std::string(text.substr(0, at));
  return result;
}

Key KeyringKey() { return Key{"keyring", "", "secrets"}; }

absl::StatusOr<std::optional<Record>> Find(MetadataStore& store,
                                           const Key& key) {
  absl::StatusOr<Record> record = store.Get(key);
  if (absl::IsNotFound(record.status())) return std::nullopt;
  if (!record.ok()) return record.status();
  return *std::move(record);
}

}  // namespace bulwark::store
