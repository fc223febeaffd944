#include "engine/image/tar_writer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/image/byte_source.h"
#include "engine/image/tar_reader.h"

namespace bulwark::engine::image {
namespace {

constexpr size_t kRecord = 512;
constexpr size_t kTypeFlag = 156;  // pax and ustar: tar(5)

TarEntry File(const std::string& path) {
  TarEntry entry;
  entry.type = TarEntry::Type::kFile;
  entry.path = path;
  entry.mode = 0644;
  return entry;
}

TarEntry Link(TarEntry::Type type, const std::string& path,
              const std::string& to) {
  TarEntry entry = File(path);
  entry.type = type;
  entry.link = to;
  return entry;
}

std::string Write(const std::vector<TarEntry>& entries) {
  std::string bytes;
  TarWriter writer([&](absl::string_view data) {
    bytes.append(data.data(), data.size());
    return absl::OkStatus();
  });
  for (const TarEntry& entry : entries) EXPECT_OK(writer.Begin(entry));
  EXPECT_OK(writer.Finish());
  return bytes;
}

TEST(TarWriterTest, WhenAnEntryIsPlain_ItIsOneHeader) {
  const std::string bytes =
      Write({File("a"), Link(TarEntry::Type::kSymlink, "b", "a"),
             Link(TarEntry::Type::kHardlink, "c", "a")});
  std::string kinds;
  for (size_t i = 0; i < 3; ++i) kinds += bytes[i * kRecord + kTypeFlag];
  EXPECT_EQ(kinds, "021");
}

TEST(TarWriterTest, WhenNamesAreAnyBytes_TheyComeBackAsTheyWere) {
  std::vector<TarEntry> written;
  for (const std::string name : {"caf\xc3\xa9", "no\xff\xfetext", "new\nline",
                                 "\xe6\x97\xa5/\xe6\x9c\xac"}) {
    const std::string longer = absl::StrCat(name, std::string(300, 'x'));
    for (const std::string& path : {name, longer}) {
      written.push_back(File(path));
      written.push_back(Link(TarEntry::Type::kSymlink, "s", path));
      written.push_back(Link(TarEntry::Type::kHardlink, "h", path));
    }
  }
  const std::string bytes = Write(written);
  StringSource source(bytes);
  TarReader reader(&source);
  for (const TarEntry& expected : written) {
    TarEntry entry;
    ASSERT_OK_AND_ASSIGN(const bool more, reader.Next(&entry));
    ASSERT_TRUE(more);
    EXPECT_EQ(entry.type, expected.type);
    EXPECT_EQ(entry.path, expected.path);
    EXPECT_EQ(entry.link, expected.link);
  }
}

TEST(TarWriterTest, WhenItsReaderFails_TheErrorComesBackAsItIs) {
  TarWriter writer([](absl::string_view) {
    return absl::ResourceExhaustedError("disk is full");
  });
  absl::Status status;
  for (int i = 0; i < 1000 && status.ok(); ++i)
    status = writer.Begin(File("a"));
  EXPECT_EQ(status, absl::ResourceExhaustedError("disk is full"));
}

}  // namespace
}  // namespace bulwark::engine::image
