// The rules of a delivery that every implementation keeps. Pure.
#ifndef SECRETS_DELIVERY_ORDER_H_
#define SECRETS_DELIVERY_ORDER_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "secrets/delivery.h"

namespace bulwark::secrets {

// [a-z0-9][a-z0-9._-]*, at most 64 characters: safe as a file's name.
bool IsContainerId(absl::string_view id);
absl::Status CheckContainerId(absl::string_view id);

// INVALID_ARGUMENT unless the id is one, each path is absolute and clean, and
// none is given twice or is a name that the directories use themselves.
absl::Status CheckOrder(const DeliveryOrder& order);

// "/run/secrets/db" -> "db", and "/run/secrets".
std::string BaseName(absl::string_view path);
std::string FolderOf(absl::string_view path);

}  // namespace bulwark::secrets

#endif  // SECRETS_DELIVERY_ORDER_H_
