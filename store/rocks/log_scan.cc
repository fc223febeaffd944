#include "store/rocks/log_scan.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

namespace bulwark::store {
namespace {

constexpr uint64_t kBlock = 32768;
constexpr uint64_t kHeader = 7;  // checksum 4, length 2, type 1

enum Type : uint8_t {
  kZero = 0,
  kFull = 1,
  kFirst = 2,
  kMiddle = 3,
  kLast = 4
};

constexpr std::array<uint32_t, 256> MakeTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int k = 0; k < 8; ++k) c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
    table[i] = c;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kTable = MakeTable();

uint32_t Unmask(uint32_t masked) {
  const uint32_t rotated = masked - 0xa282ead8u;
  return rotated >> 17 | rotated << 15;
}

uint8_t At(absl::string_view s, uint64_t i) {
  return static_cast<uint8_t>(s[i]);
}

// One piece of a record within a block.
struct Piece {
  enum class State { kGood, kBad, kPastEnd } state = State::kBad;
  Type type = kZero;
  absl::string_view payload;
  uint64_t end = 0;
};

Piece ReadPiece(absl::string_view bytes, uint64_t at) {
  const uint64_t block_end = (at / kBlock + 1) * kBlock;
  if (at + kHeader > bytes.size()) return {Piece::State::kPastEnd};
  const uint32_t sum = At(bytes, at) | At(bytes, at + 1) << 8 |
                       At(bytes, at + 2) << 16 |
                       static_cast<uint32_t>(At(bytes, at + 3)) << 24;
  const uint64_t length = At(bytes, at + 4) | At(bytes, at + 5) << 8;
  const auto type = static_cast<Type>(At(bytes, at + 6));
  const uint64_t end = at + kHeader + length;
  if (type < kFull || type > kLast || end > block_end) return {};
  if (end > bytes.size()) return {Piece::State::kPastEnd};
  if (Crc32c(0, bytes.substr(at + 6, length + 1)) != Unmask(sum)) return {};
  return {Piece::State::kGood, type, bytes.substr(at + kHeader, length), end};
}

// Puts pieces together.
class Assembler {
 public:
  // The whole record if `piece` completes one. `broken` is set if it does not
  // fit what came before.
  std::optional<std::string> Add(const Piece& piece, bool& broken) {
    const bool begins = piece.type == kFull || piece.type == kFirst;
    broken = begins == in_record_;
    if (begins) {
      record_.clear();
      in_record_ = true;
    }
    if (!in_record_) return std::nullopt;  // the rest of a lost record
    record_.append(piece.payload.data(), piece.payload.size());
    if (piece.type == kFirst || piece.type == kMiddle) return std::nullopt;
    in_record_ = false;
    return std::move(record_);
  }
  void Reset() { in_record_ = false; }
  bool in_record() const { return in_record_; }

 private:
  std::string record_;
  bool in_record_ = false;
};

bool AllZero(absl::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(),
                     [](char c) { return c == '\0'; });
}

}  // namespace

uint32_t Crc32c(uint32_t crc, absl::string_view bytes) {
  crc = ~crc;
  for (unsigned char c : bytes) crc = crc >> 8 ^ kTable[(crc ^ c) & 0xff];
  return ~crc;
}

LogScan ScanLog(absl::string_view bytes,
                absl::FunctionRef<void(const ScannedRecord&)> record) {
  LogScan scan;
  uint64_t begin = 0;
  Assembler assembler;
  bool damaged = false;
  uint64_t at = 0;
  while (at < bytes.size()) {
    const uint64_t left = kBlock - at % kBlock;
    if (left < kHeader) {  // the filling at a block's end
      at += left;
      continue;
    }
    const Piece piece = ReadPiece(bytes, at);
    if (piece.state == Piece::State::kGood) {
      bool broken = false;
      if (piece.type == kFull || piece.type == kFirst) begin = at;
      const std::optional<std::string> whole = assembler.Add(piece, broken);
      damaged |= broken;
      if (whole.has_value()) record({*whole, begin, damaged});
      at = piece.end;
      if (!damaged && !assembler.in_record()) scan.sound_end = at;
      continue;
    }
    if (!damaged) {
      if (piece.state == Piece::State::kPastEnd ||
          (!assembler.in_record() && AllZero(bytes.substr(at)))) {
        scan.end = LogScan::End::kTorn;
        return scan;
      }
      damaged = true;
    }
    assembler.Reset();
    ++at;
  }
  if (damaged) {
    scan.end = LogScan::End::kDamaged;
  } else if (assembler.in_record()) {
    scan.end = LogScan::End::kTorn;
  }
  return scan;
}

}  // namespace bulwark::store
