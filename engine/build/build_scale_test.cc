// Dockerfiles of many steps.
#include <string>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/build/testing/build_fixture.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::AllOf;
using testing::Effect;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class BuildScaleTest : public testing::BuildFixture {};

TEST_F(BuildScaleTest, WhenThereAreAThousandSteps_EachIsDoneOnce) {
  std::string file = "FROM scratch\n";
  for (int i = 0; i < 498; ++i) {
    absl::StrAppend(&file, "ENV E", i, "=", i, "\nARG A", i, "=", i,
                    "\nLABEL l", i, "=$A", i, "\nRUN step ", i, "\n");
  }
  ASSERT_OK_AND_ASSIGN(const Image image, Build(file));
  EXPECT_THAT(engine_.started, SizeIs(498));
  EXPECT_THAT(image.config.env, SizeIs(498));
  EXPECT_EQ(image.config.labels.at("l497"), "497");
  ASSERT_OK_AND_ASSIGN(const Image again, Build(file));
  EXPECT_EQ(again.digest, image.digest);
  EXPECT_EQ(CachedSteps(), 498);
  EXPECT_THAT(engine_.started, SizeIs(498));
}

TEST_F(BuildScaleTest, WhenThereAreMoreLayersThanAnOverlayTakes_SaysWhere) {
  engine_.script = [](const ContainerSpec& spec) {
    EXPECT_OK(os::WriteFileDurably(spec.upper_dir + "/out", spec.args.back()));
    return Effect();
  };
  std::string file = "FROM scratch\n";
  for (int i = 1; i <= 499; ++i) absl::StrAppend(&file, "RUN step ", i, "\n");
  EXPECT_THAT(Build(file), StatusIs(absl::StatusCode::kInvalidArgument,
                                    AllOf(HasSubstr("Dockerfile:500"),
                                          HasSubstr("more than 498 layers"))));
}

}  // namespace
}  // namespace bulwark::engine
