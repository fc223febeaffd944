#include "engine/local/log_line.h"

#include <cstdint>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace bulwark::engine {
namespace {

constexpr size_t kHeader = 24;  // 19 digits, " o F "

absl::Status Malformed() {
  return absl::DataLossError("read log: a line is malformed");
}

void AppendUtf8(uint32_t c, std::string& out) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out.push_back(static_cast<char>(0xc0 | c >> 6));
    out.push_back(static_cast<char>(0x80 | (c & 0x3f)));
  } else {
    out.push_back(static_cast<char>(0xe0 | c >> 12));
    out.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3f)));
  }
}

bool ReadHex(absl::string_view text, uint32_t* value) {
  if (text.size() < 4) return false;
  *value = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = text[i];
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return false;
    *value = *value * 16 + static_cast<uint32_t>(digit);
  }
  return true;
}

// A string of JSON, which is taken from the front of `rest`. Halves of pairs
// are not put together: nobody here writes them.
bool ReadString(absl::string_view* rest, std::string* out) {
  if (!absl::ConsumePrefix(rest, "\"")) return false;
  out->clear();
  while (!rest->empty()) {
    const size_t plain = std::min(rest->find_first_of("\"\\"), rest->size());
    out->append(rest->data(), plain);
    rest->remove_prefix(plain);
    if (absl::ConsumePrefix(rest, "\"")) return true;
    if (rest->size() < 2) return false;
    const char c = (*rest)[1];
    rest->remove_prefix(2);
    uint32_t code;
    switch (c) {
      case 'n':
        out->push_back('\n');
        break;
      case 't':
        out->push_back('\t');
        break;
      case 'r':
        out->push_back('\r');
        break;
      case 'b':
        out->push_back('\b');
        break;
      case 'f':
        out->push_back('\f');
        break;
      case 'u':
        if (!ReadHex(*rest, &code)) return false;
        rest->remove_prefix(4);
        AppendUtf8(code, *out);
        break;
      default:
        out->push_back(c);
    }
  }
  return false;
}

absl::StatusOr<LogEntry> ParseJson(absl::string_view line) {
  LogEntry entry;
  bool has_log = false;
  bool has_time = false;
  absl::string_view rest = line.substr(1);
  std::string key;
  std::string value;
  while (ReadString(&rest, &key) && absl::ConsumePrefix(&rest, ":") &&
         ReadString(&rest, &value)) {
    if (key == "log") {
      entry.partial = value.empty() || value.back() != '\n';
      if (!entry.partial) value.pop_back();
      entry.line = value;
      has_log = true;
    } else if (key == "stream") {
      entry.is_stderr = value == "stderr";
    } else if (key == "time") {
      has_time =
          absl::ParseTime(absl::RFC3339_full, value, &entry.time, nullptr);
    }
    if (absl::ConsumePrefix(&rest, ",")) continue;
    if (rest == "}" && has_log && has_time) return entry;
    break;
  }
  return Malformed();
}

}  // namespace

absl::StatusOr<LogEntry> ParseLogLine(absl::string_view line) {
  if (!line.empty() && line[0] == '{') return ParseJson(line);
  int64_t nanoseconds;
  if (line.size() < kHeader ||
      !absl::SimpleAtoi(line.substr(0, 19), &nanoseconds) || line[19] != ' ' ||
      line[21] != ' ' || line[23] != ' ' ||
      (line[22] != 'F' && line[22] != 'P')) {
    return Malformed();
  }
  LogEntry entry;
  entry.time = absl::FromUnixNanos(nanoseconds);
  entry.is_stderr = line[20] != 'o';  // the shim's own markers too
  entry.partial = line[22] == 'P';
  entry.line = std::string(line.substr(kHeader));
  return entry;
}

}  // namespace bulwark::engine
