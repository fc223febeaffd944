// Text that must not outlive its use.
#ifndef BASE_SECRET_TEXT_H_
#define BASE_SECRET_TEXT_H_

#include <string.h>

#include <cstddef>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <utility>

#include "absl/strings/string_view.h"

namespace bulwark {

// A password on its way to whom it opens something: lies in memory of its own,
// which is wiped when it goes; each copy wipes itself. Has no way to be
// printed. Thread-compatible.
//
// Unlike secrets::SecretBytes it is neither locked in memory nor left out of
// core dumps, and so no place to keep something for long.
class SecretText {
 public:
  SecretText() = default;
  explicit SecretText(absl::string_view text) : SecretText(Join({text})) {}
  SecretText(const SecretText& other) : SecretText(other.Reveal()) {}
  SecretText(SecretText&& other) noexcept { *this = std::move(other); }
  SecretText& operator=(const SecretText& other) {
    return *this = SecretText(other);
  }
  SecretText& operator=(SecretText&& other) noexcept {
    std::swap(text_, other.text_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~SecretText() {
    if (text_ != nullptr) explicit_bzero(text_.get(), size_);
  }

  // The parts, one after the other.
  static SecretText Join(std::initializer_list<absl::string_view> parts) {
    SecretText joined;
    for (absl::string_view part : parts) joined.size_ += part.size();
    joined.text_ = std::make_unique<char[]>(joined.size_ + 1);
    char* to = joined.text_.get();
    for (absl::string_view part : parts) {
      to += part.copy(to, part.size());
    }
    return joined;
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // For handing it on; what is copied out of it is no longer protected.
  absl::string_view Reveal() const { return {c_str(), size_}; }
  const char* c_str() const { return text_ == nullptr ? "" : text_.get(); }

  friend bool operator==(const SecretText& a, const SecretText& b) {
    return a.Reveal() == b.Reveal();
  }

 private:
  std::unique_ptr<char[]> text_;  // ends with a NUL
  size_t size_ = 0;
};

std::ostream& operator<<(std::ostream&, const SecretText&) = delete;

}  // namespace bulwark

#endif  // BASE_SECRET_TEXT_H_
