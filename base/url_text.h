// URLs in what is shown, logged or kept.
#ifndef BASE_URL_TEXT_H_
#define BASE_URL_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace bulwark {

// `text` with "***" for the user and password of every URL in it: what stands
// between "://" and the last "@" of the host's part. Pure.
std::string HidePasswords(absl::string_view text);

}  // namespace bulwark

#endif  // BASE_URL_TEXT_H_
