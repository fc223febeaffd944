#include "api/validate_image_update.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulwark::api {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ImageUpdateRulesTest : public ::testing::Test {
 protected:
  ImageUpdateRulesTest() {
    spec_.add_containers()->set_image("app:1");
    v1::UpdateWindow& window = *spec_.mutable_image_update()->mutable_window();
    window.set_schedule("0 3 * * *");
    window.mutable_duration()->set_seconds(3600);
    window.set_time_zone("UTC");
  }
  // What is wrong, in one text.
  std::string Problems() {
    Report report;
    ValidateImageUpdate(spec_, report);
    return std::string(report.ToStatus("apply").message());
  }
  v1::ImageUpdate& update() { return *spec_.mutable_image_update(); }

  v1::ServiceSpec spec_;
};

TEST_F(ImageUpdateRulesTest, WhenItIsRight_NothingIsSaid) {
  EXPECT_EQ(Problems(), "");
  update().clear_window();
  EXPECT_EQ(Problems(), "");
  update().mutable_interval()->set_seconds(60);
  EXPECT_EQ(Problems(), "");
  spec_.clear_image_update();
  EXPECT_EQ(Problems(), "");
}

TEST_F(ImageUpdateRulesTest, WhenATimeIsOutOfBounds_NamesTheField) {
  update().mutable_interval()->set_seconds(59);
  EXPECT_THAT(Problems(), HasSubstr("spec.imageUpdate.interval"));
  update().mutable_interval()->set_seconds(32 * 24 * 3600);
  EXPECT_THAT(Problems(), HasSubstr("is above 744h"));
  update().clear_interval();
  update().mutable_window()->mutable_duration()->set_seconds(1);
  EXPECT_THAT(Problems(), HasSubstr("spec.imageUpdate.window.duration"));
  update().mutable_window()->mutable_duration()->set_seconds(8 * 24 * 3600);
  EXPECT_THAT(Problems(), HasSubstr("is above 168h"));
}

TEST_F(ImageUpdateRulesTest, WhenTheScheduleOrZoneIsNone_NamesTheField) {
  update().mutable_window()->set_schedule("every night");
  EXPECT_THAT(Problems(), HasSubstr("spec.imageUpdate.window.schedule"));
  update().mutable_window()->set_schedule("0 3 * * *");
  update().mutable_window()->set_time_zone("Mars/Base");
  EXPECT_THAT(Problems(), HasSubstr("spec.imageUpdate.window.timeZone"));
}

TEST_F(ImageUpdateRulesTest, WhenNothingCanBeFollowed_Warns) {
  EXPECT_THAT(WarningOfImageUpdate(spec_), IsEmpty());
  spec_.mutable_containers(0)->set_pull(v1::Container::NEVER);
  EXPECT_THAT(WarningOfImageUpdate(spec_), HasSubstr("follows nothing"));
  spec_.add_sidecars()->set_image("side@sha256:1");
  EXPECT_THAT(WarningOfImageUpdate(spec_), HasSubstr("follows nothing"));
  spec_.add_sidecars()->set_image("side:1");
  EXPECT_THAT(WarningOfImageUpdate(spec_), IsEmpty());
}

}  // namespace
}  // namespace bulwark::api
