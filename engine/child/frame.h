// Frames of the shim's messages and records (docs/formats/shim-protocol.md):
// little-endian; u32 size of what follows, u16 version, u16 type, then fields
// {u16 tag, u16 zero, u32 size, bytes}. A reader skips tags that it does not
// know. Usable without a libc.
#ifndef ENGINE_CHILD_FRAME_H_
#define ENGINE_CHILD_FRAME_H_

#include <stddef.h>
#include <stdint.h>

#include "engine/child/wire.h"

namespace bulwark::child {

inline void PutInt(uint8_t* at, uint64_t value, int size) {
  for (int i = 0; i < size; ++i) at[i] = static_cast<uint8_t>(value >> (8 * i));
}
inline uint64_t GetInt(const uint8_t* at, size_t size) {
  uint64_t value = 0;
  for (size_t i = 0; i < size && i < 8; ++i) {
    value |= static_cast<uint64_t>(at[i]) << (8 * i);
  }
  return value;
}

// FNV-1a (Fowler, Noll, Vo), 64 bits: tells a torn record from a whole one.
inline uint64_t Checksum(const uint8_t* data, size_t size) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < size; ++i) hash = (hash ^ data[i]) * 0x100000001b3u;
  return hash;
}

// Writes one frame into `buffer`; size() is 0 if it did not fit.
class FrameWriter {
 public:
  FrameWriter(uint8_t* buffer, size_t capacity, uint16_t type)
      : at_(buffer), capacity_(capacity), size_(kFrameHeader) {
    if (capacity < kFrameHeader) {
      size_ = 0;
      return;
    }
    PutInt(at_ + 4, kWireVersion, 2);
    PutInt(at_ + 6, type, 2);
    PutInt(at_, size_ - 4, 4);
  }
  void Bytes(uint16_t tag, const void* data, size_t size) {
    if (size_ == 0 || size > capacity_ ||
        capacity_ - size_ < kFieldHeader + size) {
      size_ = 0;
      return;
    }
    uint8_t* field = at_ + size_;
    PutInt(field, tag, 2);
    PutInt(field + 2, 0, 2);
    PutInt(field + 4, size, 4);
    const uint8_t* bytes = static_cast<const uint8_t*>(data);
    for (size_t i = 0; i < size; ++i) field[kFieldHeader + i] = bytes[i];
    size_ += kFieldHeader + size;
    PutInt(at_, size_ - 4, 4);
  }
  void Int(uint16_t tag, uint64_t value) {
    uint8_t bytes[8];
    PutInt(bytes, value, 8);
    Bytes(tag, bytes, 8);
  }
  // Appends the checksum that records on disk end with.
  void Seal() {
    if (size_ == 0 || capacity_ - size_ < 8) {
      size_ = 0;
      return;
    }
    PutInt(at_ + size_, Checksum(at_, size_), 8);
    size_ += 8;
  }
  size_t size() const { return size_; }

 private:
  uint8_t* at_;
  size_t capacity_;
  size_t size_;
};

// The version of a whole frame header, of whatever layout the rest is; 0 if
// there is none.
inline uint16_t FrameVersion(const uint8_t* data, size_t size) {
  return size < kFrameHeader ? 0 : static_cast<uint16_t>(GetInt(data + 4, 2));
}

// Reads the fields of one frame. `data` stays the caller's.
class FrameReader {
 public:
  // valid() is false if there is no whole frame of a known layout.
  FrameReader(const uint8_t* data, size_t size) : at_(data) {
    if (size < kFrameHeader) return;
    const uint64_t payload = GetInt(data, 4);
    if (payload < kFrameHeader - 4 || payload > size - 4) return;
    end_ = data + 4 + payload;
    type_ = static_cast<uint16_t>(GetInt(data + 6, 2));
    next_ = data + kFrameHeader;
    valid_ = FrameVersion(data, size) == kWireVersion;
  }
  // Like the above for a sealed record: the checksum must match too.
  static FrameReader Sealed(const uint8_t* data, size_t size) {
    FrameReader reader(data, size);
    if (!reader.valid_) return reader;
    const size_t frame = reader.end_ - data;
    reader.valid_ =
        size - frame >= 8 && GetInt(data + frame, 8) == Checksum(data, frame);
    return reader;
  }
  bool valid() const { return valid_; }
  uint16_t type() const { return type_; }
  size_t frame_size() const { return valid_ ? end_ - at_ : 0; }

  // Moves to the next field; false at the end, or if it is cut short.
  bool Next() {
    if (!valid_ || static_cast<size_t>(end_ - next_) < kFieldHeader) {
      return false;
    }
    const uint64_t size = GetInt(next_ + 4, 4);
    if (size > static_cast<size_t>(end_ - next_) - kFieldHeader) return false;
    tag_ = static_cast<uint16_t>(GetInt(next_, 2));
    value_ = next_ + kFieldHeader;
    value_size_ = size;
    next_ = value_ + size;
    return true;
  }
  uint16_t tag() const { return tag_; }
  uint64_t Int() const { return GetInt(value_, value_size_); }
  const uint8_t* value() const { return value_; }
  size_t value_size() const { return value_size_; }

 private:
  const uint8_t* at_;
  const uint8_t* end_ = nullptr;
  const uint8_t* next_ = nullptr;
  const uint8_t* value_ = nullptr;
  size_t value_size_ = 0;
  uint16_t tag_ = 0;
  uint16_t type_ = 0;
  bool valid_ = false;
};

}  // namespace bulwark::child

#endif  // ENGINE_CHILD_FRAME_H_
