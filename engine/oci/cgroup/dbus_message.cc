#include "engine/oci/cgroup/dbus_message.h"

#include <type_traits>
#include <utility>

#include "base/status.h"

namespace bulwark::engine::oci {
namespace {

constexpr size_t kMaxSize = 1 << 20;
constexpr uint8_t kVersion = 1;

// Codes of the header's fields.
enum Field : uint8_t {
  kPath = 1,
  kInterface = 2,
  kMember = 3,
  kErrorName = 4,
  kReplySerial = 5,
  kDestination = 6,
  kSender = 7,
  kSignature = 8,
};

absl::Status Malformed() {
  return absl::DataLossError("read a message of D-Bus: it is malformed");
}

void WriteField(DbusWriter& writer, Field code, absl::string_view type,
                absl::string_view value) {
  if (value.empty()) return;
  writer.Align(8);
  writer.Byte(code);
  writer.Signature(type);
  if (type == "g") {
    writer.Signature(value);
  } else {
    writer.String(value);
  }
}

std::string* TextField(DbusMessage& message, uint8_t code) {
  switch (code) {
    case kPath:
      return &message.path;
    case kInterface:
      return &message.interface;
    case kMember:
      return &message.member;
    case kErrorName:
      return &message.error;
    case kDestination:
      return &message.destination;
    case kSender:
      return &message.sender;
    case kSignature:
      return &message.signature;
    default:
      return nullptr;
  }
}

// One field of the header; those that we do not know are passed over.
absl::Status ReadField(DbusReader& reader, DbusMessage& message) {
  reader.Align(8);
  const uint8_t code = reader.Byte();
  const std::string type = reader.Signature();
  if (type == "u") {
    const uint32_t value = reader.Uint32();
    if (code == kReplySerial) message.reply_serial = value;
    return absl::OkStatus();
  }
  if (type != "s" && type != "o" && type != "g") return Malformed();
  const std::string value = type == "g" ? reader.Signature() : reader.String();
  std::string* field = TextField(message, code);
  if (field != nullptr) *field = value;
  return absl::OkStatus();
}

}  // namespace

void DbusWriter::Uint32(uint32_t value) {
  Align(4);
  for (int shift = 0; shift < 32; shift += 8) {
    Byte(static_cast<uint8_t>(value >> shift));
  }
}

void DbusWriter::Uint64(uint64_t value) {
  Align(8);
  for (int shift = 0; shift < 64; shift += 8) {
    Byte(static_cast<uint8_t>(value >> shift));
  }
}

void DbusWriter::String(absl::string_view value) {
  Uint32(static_cast<uint32_t>(value.size()));
  bytes_.append(value.data(), value.size());
  Byte(0);
}

void DbusWriter::Signature(absl::string_view value) {
  Byte(static_cast<uint8_t>(value.size()));
  bytes_.append(value.data(), value.size());
  Byte(0);
}

void DbusWriter::Variant(const DbusValue& value) {
  std::visit(
      [this](const auto& held) {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, bool>) {
          Signature("b");
          Bool(held);
        } else if constexpr (std::is_same_v<Held, uint64_t>) {
          Signature("t");
          Uint64(held);
        } else if constexpr (std::is_same_v<Held, std::string>) {
          Signature("s");
          String(held);
        } else if constexpr (std::is_same_v<Held, std::vector<uint32_t>>) {
          Signature("au");
          const Array array = BeginArray(4);
          for (const uint32_t element : held) Uint32(element);
          EndArray(array);
        } else {
          Signature("ay");
          const Array array = BeginArray(1);
          for (const uint8_t element : held) Byte(element);
          EndArray(array);
        }
      },
      value);
}

// The padding in front of the first element does not count as the array's, and
// is there without elements too.
DbusWriter::Array DbusWriter::BeginArray(size_t alignment_of_elements) {
  Uint32(0);
  Array array = {.length_at = bytes_.size() - 4, .start = 0};
  Align(alignment_of_elements);
  array.start = bytes_.size();
  return array;
}

void DbusWriter::EndArray(const Array& array) {
  const size_t size = bytes_.size() - array.start;
  for (size_t i = 0; i < 4; ++i) {
    bytes_[array.length_at + i] = static_cast<char>(size >> (8 * i));
  }
}

void DbusReader::Align(size_t to) {
  const size_t rest = at_ % to;
  if (rest != 0) Raw(to - rest);
}

absl::string_view DbusReader::Raw(size_t size) {
  if (!ok_ || size > bytes_.size() - at_) {
    ok_ = false;
    return {};
  }
  at_ += size;
  return bytes_.substr(at_ - size, size);
}

uint8_t DbusReader::Byte() {
  const absl::string_view raw = Raw(1);
  return raw.empty() ? 0 : static_cast<uint8_t>(raw[0]);
}

uint32_t DbusReader::Uint32() {
  Align(4);
  uint32_t value = 0;
  for (int shift = 0; shift < 32; shift += 8) {
    value |= uint32_t{Byte()} << shift;
  }
  return ok_ ? value : 0;
}

std::string DbusReader::Text(size_t size) {
  const std::string text(Raw(size));
  if (Byte() != 0) ok_ = false;
  return ok_ ? text : std::string();
}

std::string DbusReader::String() {
  const uint32_t size = Uint32();
  return ok_ ? Text(size) : std::string();
}

std::string DbusReader::Signature() { return Text(Byte()); }

std::string MarshalDbus(const DbusMessage& message) {
  DbusWriter writer;
  writer.Byte('l');
  writer.Byte(static_cast<uint8_t>(message.type));
  writer.Byte(0);  // no flags: a call wants a reply
  writer.Byte(kVersion);
  writer.Uint32(static_cast<uint32_t>(message.body.size()));
  writer.Uint32(message.serial);
  const DbusWriter::Array fields = writer.BeginArray(8);
  WriteField(writer, kPath, "o", message.path);
  WriteField(writer, kInterface, "s", message.interface);
  WriteField(writer, kMember, "s", message.member);
  WriteField(writer, kErrorName, "s", message.error);
  if (message.reply_serial != 0) {
    writer.Align(8);
    writer.Byte(kReplySerial);
    writer.Signature("u");
    writer.Uint32(message.reply_serial);
  }
  WriteField(writer, kDestination, "s", message.destination);
  WriteField(writer, kSender, "s", message.sender);
  WriteField(writer, kSignature, "g", message.signature);
  writer.EndArray(fields);
  writer.Align(8);
  return writer.Take() + message.body;
}

absl::StatusOr<size_t> DbusMessageSize(absl::string_view bytes) {
  DbusReader reader(bytes);
  const uint8_t order = reader.Byte();
  reader.Byte();
  reader.Byte();
  const uint8_t version = reader.Byte();
  const size_t body = reader.Uint32();
  reader.Uint32();  // serial
  const size_t fields = reader.Uint32();
  if (!reader.ok() || order != 'l' || version != kVersion) return Malformed();
  const size_t header = (kDbusPrefix + fields + 7) / 8 * 8;
  if (body > kMaxSize || header > kMaxSize) {
    return absl::DataLossError(
        "read a message of D-Bus: it is larger than 1 MiB");
  }
  return header + body;
}

absl::StatusOr<DbusMessage> ParseDbus(absl::string_view bytes) {
  ASSIGN_OR_RETURN(const size_t size, DbusMessageSize(bytes));
  if (size != bytes.size()) return Malformed();
  DbusReader reader(bytes);
  reader.Byte();
  DbusMessage message;
  const uint8_t type = reader.Byte();
  if (type < 1 || type > 4) return Malformed();
  message.type = static_cast<DbusType>(type);
  reader.Byte();    // flags
  reader.Byte();    // version
  reader.Uint32();  // the body's length
  message.serial = reader.Uint32();
  const size_t fields = reader.Uint32();
  while (reader.ok() && reader.at() < kDbusPrefix + fields) {
    RETURN_IF_ERROR(ReadField(reader, message));
  }
  if (!reader.ok() || reader.at() != kDbusPrefix + fields) return Malformed();
  reader.Align(8);
  message.body = std::string(bytes.substr(reader.at()));
  return message;
}

}  // namespace bulwark::engine::oci
