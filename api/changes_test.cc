#include "api/changes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "api/defaulting.h"

namespace bulwark::api {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;

v1::Object Web() {
  v1::Object object;
  v1::Service& service = *object.mutable_service();
  service.mutable_metadata()->set_name("web");
  v1::Container& container = *service.mutable_spec()->add_containers();
  container.set_name("web");
  container.set_image("nginx:1");
  v1::EnvVar& env = *container.add_env();
  env.set_name("MODE");
  env.set_value("a");
  SetDefaults(object);
  return object;
}

v1::Container& ContainerOf(v1::Object& object) {
  return *object.mutable_service()->mutable_spec()->mutable_containers(0);
}

// "field: before -> after (effect)".
std::vector<std::string> Texts(const v1::Object* before,
                               const v1::Object& after) {
  std::vector<std::string> texts;
  for (const v1::FieldChange& change : ChangesOf(before, after)) {
    texts.push_back(absl::StrCat(
        change.field(), ": ", change.before(), " -> ", change.after(),
        change.effect() == v1::FieldChange::REPLACE ? " (replace)" : ""));
  }
  return texts;
}

TEST(ChangesTest, WhenNothingDiffers_ThereAreNone) {
  const v1::Object web = Web();
  EXPECT_THAT(Texts(&web, web), IsEmpty());
}

TEST(ChangesTest, WhenFilesAreSwappedInstead_ReplicasAreReplaced) {
  const v1::Object none = Web();
  v1::Object swapped = none;
  swapped.mutable_service()->mutable_spec()->mutable_on_change()->set_action(
      v1::ChangePolicy::SWAP);
  EXPECT_THAT(Texts(&none, swapped),
              ElementsAre("spec.onChange.action:  -> swap"));
  // Only if there are files.
  v1::Object before = none;
  ContainerOf(before).add_secrets()->set_name("password");
  v1::Object after = swapped;
  ContainerOf(after).add_secrets()->set_name("password");
  EXPECT_THAT(Texts(&before, after),
              ElementsAre("spec.onChange.action:  -> swap (replace)"));
  before.mutable_service()->mutable_spec()->mutable_on_change()->set_action(
      v1::ChangePolicy::ROLL);
  EXPECT_THAT(Texts(&after, before),
              ElementsAre("spec.onChange.action: swap -> roll (replace)"));
}

TEST(ChangesTest, WhenFieldsDiffer_EachIsOneChangeWithItsEffect) {
  const v1::Object before = Web();
  v1::Object after = before;
  v1::ServiceSpec& spec = *after.mutable_service()->mutable_spec();
  (*after.mutable_service()->mutable_metadata()->mutable_labels())["tier"] = "";
  spec.set_replicas(3);
  ContainerOf(after).set_image("nginx:2");
  ContainerOf(after).mutable_env(0)->set_value("b");
  ContainerOf(after).mutable_resources()->mutable_memory()->set_limit(256
                                                                      << 20);
  spec.mutable_stop()->mutable_timeout()->set_seconds(5);
  spec.mutable_load_balancer()->mutable_drain_timeout()->set_seconds(90);
  spec.mutable_load_balancer()->set_algorithm(v1::LoadBalancer::ROUND_ROBIN);
  EXPECT_THAT(
      Texts(&before, after),
      ElementsAre(
          "metadata.labels.tier:  -> \"\"", "spec.replicas: 1 -> 3",
          "spec.containers[web].image: nginx:1 -> nginx:2 (replace)",
          "spec.containers[web].env[MODE].value: a -> b (replace)",
          "spec.containers[web].resources.memory.limit:  -> 256Mi",
          "spec.stop.timeout: 30s -> 5s (replace)",
          "spec.loadBalancer.algorithm: least-connections -> round-robin",
          "spec.loadBalancer.drainTimeout: 30s -> 1m30s"));
}

TEST(ChangesTest, WhenElementsComeGoAndMove_NamesMatchThem) {
  v1::Object before = Web();
  v1::ServiceSpec& spec = *before.mutable_service()->mutable_spec();
  for (const char* name : {"a", "b", "c"}) {
    v1::Container& sidecar = *spec.add_sidecars();
    sidecar.set_name(name);
    sidecar.set_image(name);
  }
  v1::Object after = before;
  auto& sidecars = *after.mutable_service()->mutable_spec()->mutable_sidecars();
  sidecars.DeleteSubrange(0, 1);
  sidecars.SwapElements(0, 1);
  v1::Container& added = *sidecars.Add();
  added.set_name("d");
  added.set_image("d");
  added.add_command("x y");
  EXPECT_THAT(Texts(&before, after),
              ElementsAre("spec.sidecars[a].name: a ->  (replace)",
                          "spec.sidecars[a].image: a ->  (replace)",
                          "spec.sidecars[d].name:  -> d (replace)",
                          "spec.sidecars[d].image:  -> d (replace)",
                          "spec.sidecars[d].command:  -> [\"x y\"] (replace)",
                          "spec.sidecars: in order b, c -> in order c, b "
                          "(replace)"));
}

TEST(ChangesTest, WhenItIsNew_EverythingIsListed) {
  EXPECT_THAT(Texts(nullptr, Web()),
              IsSupersetOf({"spec.replicas:  -> 1",
                            "spec.containers[web].image:  -> nginx:1 (replace)",
                            "spec.network:  -> default (replace)"}));
}

TEST(ChangesTest, WhenASecretIsGiven_ItsValueIsNotShown) {
  v1::Object before;
  before.mutable_secret()->mutable_metadata()->set_name("key");
  v1::Object after = before;
  after.mutable_secret()->mutable_spec()->set_sealed_value("TOP-SECRET");
  EXPECT_THAT(Texts(&before, after),
              ElementsAre("spec.sealedValue:  -> (hidden)"));
  EXPECT_THAT(Texts(nullptr, after),
              ElementsAre("spec.sealedValue:  -> (hidden)"));
  // Nor whether it is the same.
  EXPECT_THAT(Texts(&after, after),
              ElementsAre("spec.sealedValue: (hidden) -> (hidden)"));
}

TEST(ChangesTest, WhenContentIsNoText_ItsSizeIsShown) {
  v1::Object before;
  before.mutable_config()->mutable_spec()->set_value("a: 1\n");
  v1::Object after = before;
  after.mutable_config()->mutable_spec()->set_value(std::string("\0\x01x", 3));
  EXPECT_THAT(Texts(&before, after),
              ElementsAre("spec.value: a: 1\\n -> (3 bytes)"));
  after.mutable_config()->mutable_spec()->set_value(std::string(5000, 'x'));
  EXPECT_THAT(Texts(&before, after),
              Contains(::testing::EndsWith("... (5000 bytes)")));
}

TEST(ChangesTest, WhenMembersChange_TheyAreMatchedByUserAndGroup) {
  v1::Object before;
  v1::Member& member = *before.mutable_project()->mutable_spec()->add_members();
  member.set_user("alice");
  member.set_role(v1::Member::VIEWER);
  v1::Object after = before;
  v1::Member& changed =
      *after.mutable_project()->mutable_spec()->mutable_members(0);
  changed.set_role(v1::Member::ADMIN);
  changed.add_rights(v1::Member::HOST_PATHS);
  EXPECT_THAT(Texts(&before, after),
              ElementsAre("spec.members[alice].role: viewer -> admin",
                          "spec.members[alice].rights:  -> [\"host-paths\"]"));
}

}  // namespace
}  // namespace bulwark::api
