// Messages of D-Bus, as its specification puts them into bytes: as much of it
// as a call to systemd needs. Little-endian, which every peer reads. Pure.
#ifndef ENGINE_OCI_CGROUP_DBUS_MESSAGE_H_
#define ENGINE_OCI_CGROUP_DBUS_MESSAGE_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bulwark::engine::oci {

enum class DbusType : uint8_t {
  kCall = 1,
  kReply = 2,
  kError = 3,
  kSignal = 4
};

// Empty strings and zeros are fields that are not there.
struct DbusMessage {
  DbusType type = DbusType::kCall;
  uint32_t serial = 0;
  uint32_t reply_serial = 0;
  std::string path;
  std::string interface;
  std::string member;
  std::string error;  // the name of an error
  std::string destination;
  std::string sender;
  std::string signature;  // of the body
  std::string body;
};

// What a variant may hold here: "b", "t", "s", "au", "ay".
using DbusValue = std::variant<bool, uint64_t, std::string,
                               std::vector<uint32_t>, std::vector<uint8_t>>;

// Puts values behind each other, each aligned as its type wants. What it
// begins is the message's body, or the message itself.
class DbusWriter {
 public:
  void Align(size_t to) { bytes_.resize((bytes_.size() + to - 1) / to * to); }
  void Byte(uint8_t value) { bytes_.push_back(static_cast<char>(value)); }
  void Bool(bool value) { Uint32(value ? 1 : 0); }
  void Uint32(uint32_t value);
  void Uint64(uint64_t value);
  void String(absl::string_view value);  // and an object's path
  void Signature(absl::string_view value);
  void Variant(const DbusValue& value);

  // An array's elements are written between the two.
  struct Array {
    size_t length_at;
    size_t start;
  };
  Array BeginArray(size_t alignment_of_elements);
  void EndArray(const Array& array);

  std::string Take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// Takes them out again. After the first value that is not there or is not
// well formed, ok() is false and every value is empty.
class DbusReader {
 public:
  explicit DbusReader(absl::string_view bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  size_t at() const { return at_; }
  void Align(size_t to);
  uint8_t Byte();
  uint32_t Uint32();
  std::string String();
  std::string Signature();

 private:
  absl::string_view Raw(size_t size);
  std::string Text(size_t size);

  const absl::string_view bytes_;
  size_t at_ = 0;
  bool ok_ = true;
};

std::string MarshalDbus(const DbusMessage& message);

// How long the message is whose first 16 bytes are at the start of `bytes`.
// DATA_LOSS for what is none, and for one of more than 1 MiB.
inline constexpr size_t kDbusPrefix = 16;
absl::StatusOr<size_t> DbusMessageSize(absl::string_view bytes);

// DATA_LOSS for what is not one message, no more and no less.
absl::StatusOr<DbusMessage> ParseDbus(absl::string_view bytes);

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_CGROUP_DBUS_MESSAGE_H_
