// Small helpers for UTF-8 text.
#ifndef MANIFEST_UTF8_H_
#define MANIFEST_UTF8_H_

#include <string>

#include "absl/strings/string_view.h"
#include "manifest/problem.h"

namespace bulwark::manifest {

// Offset of the first byte that is no part of valid UTF-8 (RFC 3629), or npos.
size_t FindInvalidUtf8(absl::string_view text);

// Line and column of the byte at `offset`.
Mark MarkAt(absl::string_view text, size_t offset);

// JSON writes characters beyond U+FFFF as two escapes, "\ud83d\ude00", which
// YAML does not know: replaces such pairs by the character, in a text that
// starts as JSON does. Other text is returned as it is.
std::string JoinSurrogateEscapes(absl::string_view text);

}  // namespace bulwark::manifest

#endif  // MANIFEST_UTF8_H_
