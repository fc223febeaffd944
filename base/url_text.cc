#include "base/url_text.h"

#include "absl/strings/str_cat.h"

namespace bulwark {

std::string HidePasswords(absl::string_view text) {
  std::string shown;
  for (;;) {
    const size_t scheme = text.find("://");
    if (scheme == absl::string_view::npos) break;
    absl::StrAppend(&shown, text.substr(0, scheme + 3));
    text.remove_prefix(scheme + 3);
    const absl::string_view host =
        text.substr(0, text.find_first_of("/?# \t\r\n\"'"));
    const size_t at = host.rfind('@');
    if (at == absl::string_view::npos) continue;
    absl::StrAppend(&shown, "***");
    text.remove_prefix(at);
  }
  absl::StrAppend(&shown, text);
  return shown;
}

}  // namespace bulwark
