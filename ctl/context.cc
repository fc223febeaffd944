#include "ctl/context.h"

#include "base/units.h"
#include "ctl/errors.h"

namespace bulwark::ctl {

absl::Duration Context::Timeout(absl::Duration fallback) const {
  if (timeout_text.empty()) return fallback;
  return ParseDuration(timeout_text).value_or(fallback);
}

Client& Context::client() {
  if (client_ == nullptr) {
    client_ = std::make_unique<Client>(
        socket, Timeout(absl::Seconds(30)), clock,
        [this](const std::string& text) { io.Err(FormatWarning(text)); });
  }
  return *client_;
}

}  // namespace bulwark::ctl
