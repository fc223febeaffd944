#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "engine/child/frame.h"

namespace bulwark::child {
namespace {

TEST(WireTest, WhenFieldsAreWritten_ReadsThemBackInOrder) {
  uint8_t buffer[128] = {};
  FrameWriter writer(buffer, sizeof(buffer), kMsgStateRecord);
  writer.Int(kTagShimPid, 42);
  writer.Bytes(kTagBootId, "abc", 3);

  FrameReader reader(buffer, writer.size());
  ASSERT_TRUE(reader.valid());
  EXPECT_EQ(reader.type(), kMsgStateRecord);
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.tag(), kTagShimPid);
  EXPECT_EQ(reader.Int(), 42u);
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(reader.value()),
                        reader.value_size()),
            "abc");
  EXPECT_FALSE(reader.Next());
}

TEST(WireTest, WhenAFrameDoesNotFit_IsEmptyForEver) {
  uint8_t buffer[24];
  FrameWriter writer(buffer, sizeof(buffer), kMsgPing);
  writer.Int(1, 1);
  EXPECT_EQ(writer.size(), 24u);
  writer.Int(2, 2);
  EXPECT_EQ(writer.size(), 0u);
  writer.Bytes(3, "", 0);
  writer.Seal();
  EXPECT_EQ(writer.size(), 0u);
}

TEST(WireTest, WhenAnyByteOfASealedRecordChanges_IsInvalid) {
  uint8_t buffer[128] = {};
  FrameWriter writer(buffer, sizeof(buffer), kMsgExitRecord);
  writer.Int(kTagCode, 137);
  writer.Seal();
  ASSERT_TRUE(FrameReader::Sealed(buffer, writer.size()).valid());
  for (size_t i = 0; i < writer.size(); ++i) {
    buffer[i] ^= 0x10;
    EXPECT_FALSE(FrameReader::Sealed(buffer, writer.size()).valid()) << i;
    buffer[i] ^= 0x10;
  }
}

TEST(WireTest, WhenARecordIsCutOrZero_IsInvalid) {
  uint8_t buffer[128] = {};
  EXPECT_FALSE(FrameReader::Sealed(buffer, sizeof(buffer)).valid());
  FrameWriter writer(buffer, sizeof(buffer), kMsgExitRecord);
  writer.Int(kTagCode, 1);
  writer.Seal();
  for (size_t n = 0; n < writer.size(); ++n) {
    EXPECT_FALSE(FrameReader::Sealed(buffer, n).valid()) << n;
  }
}

TEST(WireTest, WhenAFieldClaimsTooMuch_StopsBeforeIt) {
  uint8_t buffer[128] = {};
  FrameWriter writer(buffer, sizeof(buffer), kMsgPing);
  writer.Int(1, 1);
  PutInt(buffer + kFrameHeader + 4, 0xffffffff, 4);
  FrameReader reader(buffer, writer.size());
  EXPECT_TRUE(reader.valid());
  EXPECT_FALSE(reader.Next());
}

}  // namespace
}  // namespace bulwark::child
