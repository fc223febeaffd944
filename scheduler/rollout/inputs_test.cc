#include "scheduler/rollout/inputs.h"

#include <gmock/gmock.h>

#include <string>
#include <tuple>

#include "scheduler/conditions.h"
#include "scheduler/rollout/plan.h"
#include "scheduler/rollout/template.h"
#include "scheduler/rollout/world.h"

namespace bulwark::scheduler {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

v1::ServiceSpec Spec() {
  v1::ServiceSpec spec;
  v1::Container& main = *spec.add_containers();
  main.add_secrets()->set_name("db");
  main.add_secrets()->set_name("db");  // at another path
  main.add_configs()->set_name("app");
  spec.add_sidecars()->add_secrets()->set_name("api");
  spec.add_init_containers()->add_configs()->set_name("db");
  return spec;
}

std::vector<std::string> Text(const v1::Template& t) {
  std::vector<std::string> text;
  for (const v1::InputVersion& input : t.inputs()) {
    text.push_back(input.kind() + "/" + input.name() + "@" +
                   std::to_string(input.version()));
  }
  return text;
}

const InputVersions kCurrent = {{{"secret", "db"}, 3},
                                {{"secret", "api"}, 1},
                                {{"config", "app"}, 7},
                                {{"config", "db"}, 2}};

TEST(InputsTest, WhenRolled_EachIsPinnedOnceAndSorted) {
  EXPECT_THAT(Text(DeclaredTemplate(Spec(), kCurrent)),
              ElementsAre("config/app@7", "config/db@2", "secret/api@1",
                          "secret/db@3"));
}

TEST(InputsTest, WhenSwapped_TheNewestIsRead) {
  v1::ServiceSpec spec = Spec();
  spec.mutable_on_change()->set_action(v1::ChangePolicy::SWAP);
  const v1::Template before = DeclaredTemplate(spec, kCurrent);
  EXPECT_THAT(Text(before), ElementsAre("config/app@0", "config/db@0",
                                        "secret/api@0", "secret/db@0"));
  InputVersions later = kCurrent;
  later[{"secret", "db"}] = 4;
  EXPECT_TRUE(SameTemplate(before, DeclaredTemplate(spec, later)));
  EXPECT_EQ(VersionFor(before, "secret", "db", later), 4);
}

TEST(InputsTest, WhenPinned_TheVersionIsThatOfTheTemplate) {
  const v1::Template t = DeclaredTemplate(Spec(), kCurrent);
  InputVersions later = kCurrent;
  later[{"secret", "db"}] = 4;
  EXPECT_EQ(VersionFor(t, "secret", "db", later), 3);
  EXPECT_EQ(VersionFor(t, "secret", "none", later), 0);
  EXPECT_FALSE(SameTemplate(t, DeclaredTemplate(Spec(), later)));
}

TEST(InputsTest, WhenMissing_SaysWhichAndHowToMakeIt) {
  InputVersions current = kCurrent;
  current.erase({"config", "app"});
  EXPECT_THAT(MissingInputs(TemplateOf(Spec()), current),
              ElementsAre(HasSubstr("ctl config create app")));
  EXPECT_THAT(MissingInputs(TemplateOf(Spec()), kCurrent), IsEmpty());
  EXPECT_THAT(MissingInputs(TemplateOf(v1::ServiceSpec()), {}), IsEmpty());
}

// A service with one secret, in the planner's eyes.
class InputsPlanTest : public ::testing::Test {
 protected:
  InputsPlanTest() {
    world_.Declares(1).Replicas(1);
    world_.view.service.mutable_spec()
        ->mutable_containers(0)
        ->add_secrets()
        ->set_name("db");
  }
  std::string Condition(const ServicePlan& plan, const char* type) {
    const v1::Condition* c = FindCondition(plan.status.conditions(), type);
    if (c == nullptr) return "none";
    return v1::Condition::Status_Name(c->status()) + " " + c->reason() + ": " +
           c->message();
  }
  void Record(int64_t number) {
    world_.Revision(number);
    *world_.view.revisions.back().mutable_template_() =
        DeclaredTemplate(world_.view.service.spec(), world_.view.inputs);
  }

  World world_;
};

TEST_F(InputsPlanTest, WhenASecretIsMissing_WaitsWithoutARevision) {
  const ServicePlan plan = PlanService(world_.view);
  EXPECT_FALSE(plan.needs_revision);
  EXPECT_THAT(plan.create, IsEmpty());
  EXPECT_THAT(Condition(plan, "InputsReady"),
              HasSubstr("FALSE Missing: waits for secret db"));
  EXPECT_THAT(Condition(plan, "Progressing"), HasSubstr("WaitingForInputs"));
}

TEST_F(InputsPlanTest, WhenItComes_AsksForARevision) {
  world_.view.inputs[{"secret", "db"}] = 1;
  const ServicePlan plan = PlanService(world_.view);
  EXPECT_TRUE(plan.needs_revision);
  EXPECT_THAT(Condition(plan, "InputsReady"), HasSubstr("TRUE"));
}

TEST_F(InputsPlanTest, WhenAVersionComes_AsksForTheNextRevision) {
  world_.view.inputs[{"secret", "db"}] = 1;
  Record(1);
  EXPECT_FALSE(PlanService(world_.view).needs_revision);
  world_.view.inputs[{"secret", "db"}] = 2;
  EXPECT_TRUE(PlanService(world_.view).needs_revision);
}

TEST_F(InputsPlanTest, WhenSealed_NothingBeginsUntilItIsOver) {
  world_.view.inputs[{"secret", "db"}] = 1;
  Record(1);
  world_.view.sealed = "the secrets are sealed: no key; put it back";
  const ServicePlan sealed = PlanService(world_.view);
  EXPECT_THAT(sealed.create, IsEmpty());
  EXPECT_THAT(sealed.update, IsEmpty());
  EXPECT_THAT(Condition(sealed, "InputsReady"),
              HasSubstr("FALSE Sealed: the secrets are sealed"));
  world_.view.sealed.clear();
  EXPECT_THAT(PlanService(world_.view).create, Not(IsEmpty()));
}

TEST_F(InputsPlanTest, WhenSealedButNoSecretIsRead_GoesOn) {
  world_.view.service.mutable_spec()->mutable_containers(0)->clear_secrets();
  Record(1);
  world_.view.sealed = "the secrets are sealed";
  EXPECT_THAT(PlanService(world_.view).create, Not(IsEmpty()));
}

v1::Template Pins(int64_t secret, int64_t config) {
  v1::Template t;
  for (const auto& [kind, name, version] :
       {std::tuple("secret", "db", secret), std::tuple("config", "db", config),
        std::tuple("secret", "fixed", int64_t{7})}) {
    v1::InputVersion& input = *t.add_inputs();
    input.set_kind(kind);
    input.set_name(name);
    input.set_version(version);
  }
  return t;
}

TEST(InputsTest, WhenTemplatesPinOtherVersions_TheyAreNamed) {
  EXPECT_EQ(InWords(OtherVersions(Pins(2, 2), Pins(2, 2))), "");
  EXPECT_EQ(InWords(OtherVersions(Pins(2, 2), Pins(1, 2))),
            "version 1 of secret db instead of 2");
  EXPECT_EQ(InWords(OtherVersions(Pins(3, 1), Pins(1, 2))),
            "version 1 of secret db instead of 3, version 2 of config db "
            "instead of 1");
  // Swapped files are of the newest version in either.
  EXPECT_EQ(InWords(OtherVersions(Pins(0, 2), Pins(1, 2))), "");
  EXPECT_EQ(InWords(OtherVersions(v1::Template(), Pins(1, 2))), "");
}

// Whoever has set the value must not believe that it is in use.
TEST_F(InputsPlanTest, WhenANewVersionFails_SaysWhichOneRuns) {
  world_.view.inputs[{"secret", "db"}] = 1;
  Record(1);
  world_.Good();
  world_.view.inputs[{"secret", "db"}] = 2;
  Record(2);
  world_.Begun(absl::Minutes(1));
  for (int i = 0; i < 3; ++i) world_.Crashed(2, 0, absl::Seconds(10 - i), i);
  const ServicePlan plan = PlanService(world_.view);
  ASSERT_THAT(plan.events, Not(IsEmpty()));
  EXPECT_THAT(plan.events[0].message,
              HasSubstr("); going back to revision 1, with version 1 of secret "
                        "db instead of 2"));
  EXPECT_THAT(
      Condition(plan, "RolledBack"),
      HasSubstr("); revision 1 runs instead, with version 1 of secret db "
                "instead of 2. To go on, set another value (ctl secret set "
                "db), or stay with the old one (ctl secret rollback db --to "
                "1), or apply a changed template"));
}

}  // namespace
}  // namespace bulwark::scheduler
