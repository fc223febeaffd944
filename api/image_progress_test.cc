#include "api/image_progress.h"

#include <gtest/gtest.h>

#include "base/testing/fake_clock.h"

namespace bulwark::api {
namespace {

TEST(ProgressFilterTest, WhenOutputIsNotUtf8_TheMessageCanBeRead) {
  testing::FakeClock clock;
  v1::ImageProgress received;
  const auto send = [&](const v1::ImageProgress& message) {
    return received.ParseFromString(message.SerializeAsString());
  };
  const auto done = [] { return false; };
  ProgressFilter filter(clock, send, done);
  EXPECT_TRUE(filter.Report({"1/1", "running", 0, 0, "gr\xfcn \x1b[32mok"}));
  EXPECT_EQ(received.output(), "gr?n \x1b[32mok");
  EXPECT_TRUE(filter.Report({"1/1", "running", 0, 0, "gr\xc3\xbcn"}));
  EXPECT_EQ(received.output(), "gr\xc3\xbcn");
}

TEST(ProgressFilterTest, WhenThereIsNothingToSay_OnlyAnswersWhetherToGoOn) {
  testing::FakeClock clock;
  bool gone = false;
  const auto send = [](const v1::ImageProgress&) {
    ADD_FAILURE() << "sent";
    return true;
  };
  const auto done = [&gone] { return gone; };
  ProgressFilter filter(clock, send, done);
  EXPECT_TRUE(filter.Report(engine::Progress()));
  gone = true;
  EXPECT_FALSE(filter.Report(engine::Progress()));
}

}  // namespace
}  // namespace bulwark::api
