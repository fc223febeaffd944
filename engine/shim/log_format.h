// Log records as text. No libc.
#ifndef ENGINE_SHIM_LOG_FORMAT_H_
#define ENGINE_SHIM_LOG_FORMAT_H_

#include <stddef.h>
#include <stdint.h>

namespace bulwark::shim {

// One record of output.
struct LogRecord {
  uint64_t time;        // ns since the epoch
  char stream;          // 'o', 'e', or 's' for what the shim itself says
  bool whole;           // the line ends here
  const uint8_t* data;  // without its newline
  size_t size;
};

// Docker's longest line of a record, and ours.
inline constexpr size_t kMaxLine = 16 << 10;
// A byte takes at most 6 ("\u0001"), and the rest of a JSON record fits in 128.
inline constexpr size_t MostOf(size_t text) { return 6 * text + 128; }
inline constexpr size_t kMaxRecord = MostOf(kMaxLine);

// docs/formats/log-format.md. The size of the record; with `out`, of that size
// at least, it is written there.
size_t FormatLocal(const LogRecord& record, uint8_t* out);

// {"log":"text\n","stream":"stdout","time":"2030-01-31T12:00:00.123456789Z"}
// and a newline. Bytes that are no UTF-8 become U+FFFD.
size_t FormatJson(const LogRecord& record, uint8_t* out);

}  // namespace bulwark::shim

#endif  // ENGINE_SHIM_LOG_FORMAT_H_
