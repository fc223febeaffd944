#include "engine/shim/log_format.h"

namespace bulwark::shim {
namespace {

constexpr size_t kHeader = 24;  // 19 digits, " o F "

// Counts, and writes where there is something to write to.
class Out {
 public:
  explicit Out(uint8_t* at) : at_(at) {}
  void Put(uint8_t byte) {
    if (at_ != nullptr) at_[size_] = byte;
    ++size_;
  }
  void Text(const char* text) {
    for (; *text != 0; ++text) Put(static_cast<uint8_t>(*text));
  }
  // From behind: dividing by a constant is a multiplication.
  void Digits(uint64_t value, int digits) {
    for (int i = digits - 1; at_ != nullptr && i >= 0; --i) {
      at_[size_ + i] = static_cast<uint8_t>('0' + value % 10);
      value /= 10;
    }
    size_ += digits;
  }
  void Copy(const uint8_t* from, size_t size) {
    for (size_t i = 0; at_ != nullptr && i < size; ++i)
      at_[size_ + i] = from[i];
    size_ += size;
  }
  size_t size() const { return size_; }

 private:
  uint8_t* at_;
  size_t size_ = 0;
};

// Length of the UTF-8 sequence at `p`; 0 if there is none.
size_t Utf8Length(const uint8_t* p, size_t left) {
  if (p[0] < 0x80) return 1;
  const size_t n = p[0] >= 0xc2 && p[0] < 0xe0   ? 2
                   : (p[0] & 0xf0) == 0xe0       ? 3
                   : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                                 : 0;
  if (n == 0 || n > left) return 0;
  for (size_t i = 1; i < n; ++i) {
    if ((p[i] & 0xc0) != 0x80) return 0;
  }
  // Too long a form, a surrogate, or beyond the last code point.
  if (p[0] == 0xe0 && p[1] < 0xa0) return 0;
  if (p[0] == 0xed && p[1] >= 0xa0) return 0;
  if (p[0] == 0xf0 && p[1] < 0x90) return 0;
  if (p[0] == 0xf4 && p[1] >= 0x90) return 0;
  return n;
}

// What JSON has as it is.
constexpr bool IsPlain(uint8_t c) {
  return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

void JsonText(const uint8_t* data, size_t size, Out& out) {
  constexpr char kHex[] = "0123456789abcdef";
  for (size_t i = 0; i < size;) {
    size_t end = i;
    while (end < size && IsPlain(data[end])) ++end;
    out.Copy(data + i, end - i);
    i = end;
    if (i == size) break;
    const uint8_t c = data[i];
    const size_t n = Utf8Length(data + i, size - i);
    if (n == 0) {
      out.Text("\\ufffd");
      ++i;
      continue;
    }
    if (c == '"' || c == '\\') {
      out.Put('\\');
      out.Put(c);
    } else if (c == '\n') {
      out.Text("\\n");
    } else if (c == '\r') {
      out.Text("\\r");
    } else if (c == '\t') {
      out.Text("\\t");
    } else if (c < 0x20 || c == 0x7f) {
      out.Text("\\u00");
      out.Put(static_cast<uint8_t>(kHex[c >> 4]));
      out.Put(static_cast<uint8_t>(kHex[c & 15]));
    } else {
      out.Copy(data + i, n);
    }
    i += n;
  }
}

// Days since the epoch as a date, of the Gregorian calendar for all times.
void Date(uint64_t days, Out& out) {
  days += 719468;  // since 0000-03-01
  const uint64_t era = days / 146097;
  const uint64_t day_of_era = days % 146097;
  const uint64_t year_of_era = (day_of_era - day_of_era / 1460 +
                                day_of_era / 36524 - day_of_era / 146096) /
                               365;
  const uint64_t day =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const uint64_t shifted = (5 * day + 2) / 153;
  const uint64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
  out.Digits(era * 400 + year_of_era + (month <= 2 ? 1 : 0), 4);
  out.Put('-');
  out.Digits(month, 2);
  out.Put('-');
  out.Digits(day - (153 * shifted + 2) / 5 + 1, 2);
}

void Rfc3339(uint64_t time, Out& out) {
  const uint64_t seconds = time / 1000000000;
  Date(seconds / 86400, out);
  out.Put('T');
  out.Digits(seconds / 3600 % 24, 2);
  out.Put(':');
  out.Digits(seconds / 60 % 60, 2);
  out.Put(':');
  out.Digits(seconds % 60, 2);
  out.Put('.');
  out.Digits(time % 1000000000, 9);
  out.Put('Z');
}

}  // namespace

size_t FormatLocal(const LogRecord& record, uint8_t* out) {
  const size_t size = kHeader + record.size + 1;
  if (out == nullptr) return size;
  Out header(out);
  header.Digits(record.time, 19);
  header.Put(' ');
  header.Put(static_cast<uint8_t>(record.stream));
  header.Text(record.whole ? " F " : " P ");
  for (size_t i = 0; i < record.size; ++i) out[kHeader + i] = record.data[i];
  out[size - 1] = '\n';
  return size;
}

size_t FormatJson(const LogRecord& record, uint8_t* out) {
  Out json(out);
  json.Text("{\"log\":\"");
  JsonText(record.data, record.size, json);
  if (record.whole) json.Text("\\n");
  json.Text("\",\"stream\":\"");
  json.Text(record.stream == 'o' ? "stdout" : "stderr");
  json.Text("\",\"time\":\"");
  Rfc3339(record.time, json);
  json.Text("\"}\n");
  return json.size();
}

}  // namespace bulwark::shim
