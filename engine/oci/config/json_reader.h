// Reads a configuration strictly: a member of another type than the
// specification says is an error that names it ("linux.resources.pids.limit").
// Members that nobody asks for are ignored, as the specification wants.
#ifndef ENGINE_OCI_CONFIG_JSON_READER_H_
#define ENGINE_OCI_CONFIG_JSON_READER_H_

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace bulwark::engine::oci {

using Json = nlohmann::json;

// A value of the document, or its absence, and where it stands. Keeps the
// first error of all readers of a document. Borrows the document and `error`.
class JsonReader {
 public:
  JsonReader(const Json* value, std::string path, absl::Status* error)
      : value_(value), path_(std::move(path)), error_(error) {}

  // The member of an object; absent if there is none, or if it is null.
  JsonReader operator[](const char* key) const {
    const Json* member = nullptr;
    if (value_ != nullptr && !value_->is_object()) {
      WrongType("an object");
    } else if (value_ != nullptr) {
      const auto found = value_->find(key);
      if (found != value_->end() && !found->is_null()) member = &*found;
    }
    return JsonReader(
        member, path_.empty() ? key : absl::StrCat(path_, ".", key), error_);
  }
  bool present() const { return value_ != nullptr; }
  const std::string& path() const { return path_; }

  // Each leaves `out` as it is if the value is absent or of another type.
  void Get(std::string& out) const {
    if (value_ == nullptr) return;
    if (!value_->is_string()) return WrongType("a string");
    const std::string& text = value_->get_ref<const std::string&>();
    if (text.find('\0') != std::string::npos) return Fail("has a NUL in it");
    out = text;
  }
  void Get(bool& out) const {
    if (value_ == nullptr) return;
    if (!value_->is_boolean()) return WrongType("true or false");
    out = value_->get<bool>();
  }
  template <typename T>
  std::enable_if_t<std::is_integral_v<T>> Get(T& out) const {
    if (value_ == nullptr) return;
    if (!value_->is_number_integer()) return WrongType("a whole number");
    if (value_->is_number_unsigned()) {
      const uint64_t number = value_->get<uint64_t>();
      if (number > static_cast<uint64_t>(std::numeric_limits<T>::max())) {
        return Fail(absl::StrCat(number, " is too large"));
      }
      out = static_cast<T>(number);
      return;
    }
    const int64_t number = value_->get<int64_t>();
    if (std::is_unsigned_v<T> ||
        number < static_cast<int64_t>(std::numeric_limits<T>::min())) {
      return Fail(absl::StrCat(number, " is too small"));
    }
    out = static_cast<T>(number);
  }
  template <typename T>
  void Get(std::optional<T>& out) const {
    if (value_ == nullptr) return;
    T value{};
    Get(value);
    out = std::move(value);
  }
  template <typename T>
  void Get(std::vector<T>& out) const {
    ForEach([&](const JsonReader& element) {
      T value{};
      element.Get(value);
      out.push_back(std::move(value));
    });
  }

  // Calls `visit` with each element of an array.
  template <typename Visit>
  void ForEach(Visit visit) const {
    if (value_ == nullptr) return;
    if (!value_->is_array()) return WrongType("an array");
    size_t i = 0;
    for (const Json& element : *value_) {
      visit(JsonReader(&element, absl::StrCat(path_, "[", i++, "]"), error_));
    }
  }
  // Calls `visit` with each key of an object, and its value.
  template <typename Visit>
  void ForEachMember(Visit visit) const {
    if (value_ == nullptr) return;
    if (!value_->is_object()) return WrongType("an object");
    for (const auto& [key, value] : value_->items()) {
      visit(key,
            JsonReader(&value, absl::StrCat(path_, "[\"", key, "\"]"), error_));
    }
  }

  // Notes an error of this value.
  void Fail(absl::string_view what) const {
    if (!error_->ok()) return;
    *error_ = absl::InvalidArgumentError(
        absl::StrCat(path_.empty() ? "the document" : path_, ": ", what));
  }

 private:
  void WrongType(absl::string_view wanted) const {
    Fail(absl::StrCat("must be ", wanted, ", not ", value_->type_name()));
  }

  const Json* value_;
  std::string path_;
  absl::Status* error_;
};

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_CONFIG_JSON_READER_H_
