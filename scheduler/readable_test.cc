#include "scheduler/readable.h"

#include <gtest/gtest.h>

namespace bulwark::scheduler {
namespace {

TEST(ReadableTest, WhenBytesAreNoText_TheyBecomeQuestionMarks) {
  EXPECT_EQ(Readable("plain"), "plain");
  EXPECT_EQ(Readable("gr\xc3\xbcn \xe2\x82\xac \xf0\x9f\x98\x80"),
            "gr\xc3\xbcn \xe2\x82\xac \xf0\x9f\x98\x80");
  EXPECT_EQ(Readable("gr\xfcn"), "gr?n");
  EXPECT_EQ(Readable("\x1b[31mred\x07\x7f"), "?[31mred??");
  EXPECT_EQ(Readable("two\r\nlines\tof it"), "two  lines of it");
  EXPECT_EQ(Readable(absl::string_view("\0", 1)), "?");
  // Cut off, overlong, a surrogate, beyond Unicode.
  EXPECT_EQ(Readable("\xe2\x82"), "??");
  EXPECT_EQ(Readable("\xc0\xaf \xe0\x80\xaf"), "?? ???");
  EXPECT_EQ(Readable("\xed\xa0\x80"), "???");
  EXPECT_EQ(Readable("\xf4\x90\x80\x80"), "????");
}

}  // namespace
}  // namespace bulwark::scheduler
