#include "engine/oci/cgroup/dbus_message.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "base/testing/status_matchers.h"

namespace bulwark::engine::oci {
namespace {

using ::bulwark::testing::IsOk;
using ::bulwark::testing::StatusIs;

// Bytes that another implementation of the specification made.
constexpr const char* kHello =
    "6c01000100000000010000006d00000001016f00150000002f6f72672f6672656564"
    "65736b746f702f4442757300000002017300140000006f72672e667265656465736b"
    "746f702e4442757300000000030173000500000048656c6c6f000000060173001400"
    "00006f72672e667265656465736b746f702e4442757300000000";
constexpr const char* kJobRemoved =
    "6c04000129000000090000008a00000001016f00190000002f6f72672f6672656564"
    "65736b746f702f73797374656d64310000000000000002017300200000006f72672e"
    "667265656465736b746f702e73797374656d64312e4d616e61676572000000000000"
    "0000030173000a0000004a6f6252656d6f7665640000000000000701730004000000"
    "3a312e30000000000801670004756f73730000000000000007000000040000002f6a"
    "2f3700000000090000007765622e73636f706500000004000000646f6e6500";

DbusMessage Hello() {
  DbusMessage call;
  call.serial = 1;
  call.path = "/org/freedesktop/DBus";
  call.interface = "org.freedesktop.DBus";
  call.member = "Hello";
  call.destination = "org.freedesktop.DBus";
  return call;
}

TEST(DbusMessageTest, WhenACallIsMarshalled_ThenItHasTheBytesOfOthers) {
  EXPECT_EQ(absl::BytesToHexString(MarshalDbus(Hello())), kHello);
}

TEST(DbusMessageTest, WhenASignalIsParsed_ThenEveryFieldIsThere) {
  const std::string bytes = absl::HexStringToBytes(kJobRemoved);
  ASSERT_OK_AND_ASSIGN(const size_t size, DbusMessageSize(bytes));
  EXPECT_EQ(size, bytes.size());
  ASSERT_OK_AND_ASSIGN(const DbusMessage message, ParseDbus(bytes));
  EXPECT_EQ(message.type, DbusType::kSignal);
  EXPECT_EQ(message.serial, 9u);
  EXPECT_EQ(message.path, "/org/freedesktop/systemd1");
  EXPECT_EQ(message.interface, "org.freedesktop.systemd1.Manager");
  EXPECT_EQ(message.member, "JobRemoved");
  EXPECT_EQ(message.sender, ":1.0");
  EXPECT_EQ(message.signature, "uoss");
  DbusReader reader(message.body);
  EXPECT_EQ(reader.Uint32(), 7u);
  EXPECT_EQ(reader.String(), "/j/7");
  EXPECT_EQ(reader.String(), "web.scope");
  EXPECT_EQ(reader.String(), "done");
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(reader.String(), "");  // no more of them
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(MarshalDbus(message), bytes);
}

TEST(DbusMessageTest, WhenAnErrorGoesRound_ThenItIsTheSame) {
  DbusMessage error;
  error.type = DbusType::kError;
  error.serial = 5;
  error.reply_serial = 4;
  error.error = "org.freedesktop.systemd1.UnitExists";
  error.destination = ":1.7";
  error.signature = "s";
  error.body = std::string("\3\0\0\0no!\0", 8);
  ASSERT_OK_AND_ASSIGN(const DbusMessage read, ParseDbus(MarshalDbus(error)));
  EXPECT_EQ(read.type, DbusType::kError);
  EXPECT_EQ(read.reply_serial, 4u);
  EXPECT_EQ(read.error, error.error);
  EXPECT_EQ(read.destination, error.destination);
  EXPECT_EQ(read.body, error.body);
}

TEST(DbusMessageTest, WhenValuesAreWritten_ThenEachIsAligned) {
  const auto bytes = [](auto write) {
    DbusWriter writer;
    writer.Byte(7);
    write(writer);
    return absl::BytesToHexString(writer.Take());
  };
  EXPECT_EQ(bytes([](DbusWriter& w) { w.Bool(true); }), "0700000001000000");
  EXPECT_EQ(bytes([](DbusWriter& w) { w.Uint64(0x0102030405060708); }),
            "07000000000000000807060504030201");
  EXPECT_EQ(bytes([](DbusWriter& w) { w.Variant(std::string("ab")); }),
            "0701730002000000616200");
  EXPECT_EQ(bytes([](DbusWriter& w) {
              w.Variant(std::vector<uint32_t>{1, 2});
            }),
            "070261750000000008000000"
            "0100000002000000");
  // An array without elements is padded all the same.
  EXPECT_EQ(bytes([](DbusWriter& w) { w.EndArray(w.BeginArray(8)); }),
            "0700000000000000");
  EXPECT_EQ(bytes([](DbusWriter& w) {
              w.Uint32(0);
              w.EndArray(w.BeginArray(8));
            }),
            "07000000"
            "00000000"
            "00000000"
            "00000000");
}

TEST(DbusMessageTest, WhenBytesAreCutOrChanged_ThenNothingBreaks) {
  const std::string good = absl::HexStringToBytes(kJobRemoved);
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_THAT(ParseDbus(good.substr(0, size)),
                StatusIs(absl::StatusCode::kDataLoss))
        << size;
  }
  EXPECT_THAT(ParseDbus(good + "x"), StatusIs(absl::StatusCode::kDataLoss));
  for (size_t at = 0; at < good.size(); ++at) {
    for (const char change : {'\1', '\x7f', '\xff'}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ change);
      DbusMessageSize(bad).status().IgnoreError();
      const absl::StatusOr<DbusMessage> message = ParseDbus(bad);
      if (!message.ok()) continue;
      DbusReader reader(message->body);
      reader.Uint32();
      for (int i = 0; i < 4; ++i) reader.String();
    }
  }
}

TEST(DbusMessageTest, WhenAMessageIsTooLargeOrForeign_ThenItIsRefused) {
  std::string bytes = absl::HexStringToBytes(kHello);
  bytes[0] = 'B';  // the other order of bytes
  EXPECT_THAT(DbusMessageSize(bytes), StatusIs(absl::StatusCode::kDataLoss));
  bytes[0] = 'l';
  bytes[6] = 0x20;  // a body of 2 MiB
  EXPECT_THAT(DbusMessageSize(bytes), StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace bulwark::engine::oci
