#include "api/backup/archive.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"

namespace bulwark::api {
namespace {

using ::bulwark::testing::StatusIs;
using record::v1::BackupEntry;
using ::testing::HasSubstr;

constexpr auto kDataLoss = absl::StatusCode::kDataLoss;
// The least that libsodium takes: these tests try hundreds of archives.
constexpr PasswordCost kCheap = {1, 8192};

BackupEntry Row(const std::string& key, const std::string& value) {
  BackupEntry entry;
  entry.mutable_row()->set_key(key);
  entry.mutable_row()->set_value(value);
  return entry;
}

std::string Archive(const std::vector<BackupEntry>& entries,
                    const std::string& password = "pass") {
  std::string bytes;
  const auto sink = [&bytes](std::string more) {
    bytes += more;
    return true;
  };
  auto writer = ArchiveWriter::Start(password, sink, kCheap);
  EXPECT_OK(writer);
  for (const BackupEntry& entry : entries) {
    EXPECT_OK((*writer)->Add(entry, sink));
  }
  EXPECT_OK((*writer)->Finish(sink));
  return bytes;
}

// Feeds `bytes` in pieces of `step`.
absl::Status Read(const std::string& bytes, ArchiveReader& reader,
                  size_t step = 1 << 20) {
  for (size_t at = 0; at < bytes.size(); at += step) {
    RETURN_IF_ERROR(reader.Feed(bytes.substr(at, step)));
  }
  return reader.Finish();
}

absl::Status ReadAll(const std::string& bytes,
                     const std::string& password = "pass") {
  ArchiveReader reader{SecretText(password)};
  return Read(bytes, reader);
}

TEST(ArchiveTest, WhenWritten_ItIsReadBackHoweverItIsCut) {
  std::vector<BackupEntry> entries;
  for (int i = 0; i < 40; ++i) {
    entries.push_back(Row(absl::StrCat("k", i), std::string(i * 997, 'v')));
  }
  const std::string bytes = Archive(entries);
  EXPECT_GT(bytes.size(), 10 * (64 << 10));
  EXPECT_EQ(bytes.find("vvvv"), std::string::npos);
  for (const size_t step : {size_t{7}, size_t{4096}, bytes.size()}) {
    ArchiveReader reader{SecretText("pass")};
    ASSERT_OK(Read(bytes, reader, step));
    ASSERT_EQ(reader.entries().size(), entries.size());
    for (size_t i = 0; i < entries.size(); ++i) {
      EXPECT_EQ(reader.entries()[i].SerializeAsString(),
                entries[i].SerializeAsString());
    }
  }
}

TEST(ArchiveTest, WhenWrittenTwice_NothingIsTheSame) {
  const std::string a = Archive({Row("k", "v")}), b = Archive({Row("k", "v")});
  EXPECT_NE(a.substr(40), b.substr(40));
}

TEST(ArchiveTest, WhenThePasswordIsWrong_NothingIsGivenOut) {
  const std::string bytes = Archive({Row("k", "v")});
  ArchiveReader reader{SecretText("past")};
  EXPECT_THAT(Read(bytes, reader),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("the password is wrong")));
  EXPECT_TRUE(reader.entries().empty());
  std::string ignored;
  EXPECT_THAT(ArchiveWriter::Start("", [](std::string) { return true; }),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(ArchiveTest, WhenItIsCutAnywhere_ItIsRefused) {
  const std::string bytes = Archive({Row("k", std::string(100000, 'v'))});
  for (size_t size = 0; size < bytes.size(); size += 131) {
    EXPECT_THAT(ReadAll(bytes.substr(0, size)), StatusIs(kDataLoss)) << size;
  }
  EXPECT_THAT(ReadAll(bytes.substr(0, bytes.size() - 1)), StatusIs(kDataLoss));
  EXPECT_THAT(ReadAll(bytes + "x"), StatusIs(kDataLoss));
}

TEST(ArchiveTest, WhenAByteIsChanged_ItIsRefused) {
  const std::string bytes = Archive({Row("key", "value")});
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(ReadAll(changed).ok()) << "byte " << i;
  }
}

TEST(ArchiveTest, WhenPiecesAreSwapped_ItIsRefused) {
  const std::string bytes = Archive({Row("k", std::string(200000, 'v'))});
  const size_t header = 15 + 4 + 8 + 8 + 16 + 24;
  const size_t piece = 4 + (64 << 10) + 17;
  const std::string swapped =
      bytes.substr(0, header) + bytes.substr(header + piece, piece) +
      bytes.substr(header, piece) + bytes.substr(header + 2 * piece);
  ASSERT_EQ(swapped.size(), bytes.size());
  EXPECT_FALSE(ReadAll(swapped).ok());
  // And one left out.
  EXPECT_FALSE(ReadAll(bytes.substr(0, header + piece) +
                       bytes.substr(header + 2 * piece))
                   .ok());
}

TEST(ArchiveTest, WhenItIsSomethingElse_ItIsSaid) {
  EXPECT_THAT(ReadAll("kind: Service\nname: web\n"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("no backup of bulwarkd")));
  EXPECT_THAT(ReadAll(""), StatusIs(kDataLoss));
  std::string newer = Archive({});
  newer[18] = 2;
  EXPECT_THAT(ReadAll(newer), StatusIs(absl::StatusCode::kInvalidArgument,
                                       HasSubstr("version 2")));
  // A header that wants all of the memory.
  std::string greedy = Archive({});
  greedy[27] = 0x7f;
  EXPECT_THAT(ReadAll(greedy), StatusIs(kDataLoss));
}

TEST(ArchiveTest, WhenKeysAreWrapped_BothSidesHaveTheSame) {
  std::string bytes;
  const auto sink = [&bytes](std::string more) {
    bytes += more;
    return true;
  };
  ASSERT_OK_AND_ASSIGN(auto writer, ArchiveWriter::Start("pass", sink, kCheap));
  ASSERT_OK(writer->Finish(sink));
  ArchiveReader reader{SecretText("pass")};
  ASSERT_OK(Read(bytes, reader));
  EXPECT_TRUE(reader.WrappingKey() == writer->WrappingKey());
  EXPECT_EQ(reader.WrappingKey().size(), 32);
}

}  // namespace
}  // namespace bulwark::api
