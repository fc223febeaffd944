// Tar archives made byte by byte, for what no library writes.
#ifndef ENGINE_IMAGE_TESTING_RAW_TAR_H_
#define ENGINE_IMAGE_TESTING_RAW_TAR_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace bulwark::engine::image::testing {

// Headers byte by byte, for what no library writes.
class RawTar {
 public:
  struct Fields {
    std::string name;
    char type = '0';
    std::string mode = "0000644";
    std::string uid = "0000000";
    std::string gid = "0000000";
    std::string size;  // octal; empty: of the data
    std::string mtime = "00000000000";
    std::string link;
  };

  RawTar& Add(const Fields& fields, absl::string_view data = "") {
    char header[512] = {};
    const auto put = [&header](size_t at, const std::string& text, size_t n) {
      std::memcpy(header + at, text.data(), std::min(n, text.size()));
    };
    put(0, fields.name, 100);
    put(100, fields.mode, 8);
    put(108, fields.uid, 8);
    put(116, fields.gid, 8);
    put(124,
        fields.size.empty() ? absl::StrFormat("%011o", data.size())
                            : fields.size,
        12);
    put(136, fields.mtime, 12);
    header[156] = fields.type;
    put(157, fields.link, 100);
    put(257, std::string("ustar\00000", 8), 8);
    std::memset(header + 148, ' ', 8);
    unsigned sum = 0;
    for (const char c : header) sum += static_cast<unsigned char>(c);
    put(148, absl::StrFormat("%06o", sum) + std::string("\0 ", 2), 8);
    text_.append(header, sizeof(header));
    text_.append(data.data(), data.size());
    text_.append((512 - data.size() % 512) % 512, '\0');
    return *this;
  }

  // An extended header (type 'x' or 'g') of such "key=value" records.
  RawTar& Pax(char type, const std::vector<std::string>& records) {
    std::string data;
    for (const std::string& record : records) {
      // The length counts itself.
      size_t size = record.size() + 2;
      size += absl::StrCat(size + 1).size();
      absl::StrAppend(&data, size, " ", record, "\n");
    }
    Fields fields;
    fields.name = "pax";
    fields.type = type;
    return Add(fields, data);
  }

  std::string Build() const { return text_ + std::string(1024, '\0'); }

 private:
  std::string text_;
};

// A number beyond octal, as GNU tar writes it: base 256.
inline std::string Binary(int64_t value, size_t width) {
  std::string text(width, value < 0 ? '\xff' : '\0');
  for (size_t i = 0; i < 8 && i < width; ++i) {
    text[width - 1 - i] = static_cast<char>(value >> (8 * i));
  }
  text[0] = static_cast<char>(text[0] | 0x80);
  return text;
}

}  // namespace bulwark::engine::image::testing

#endif  // ENGINE_IMAGE_TESTING_RAW_TAR_H_
