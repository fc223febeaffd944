#include "api/backup/restore_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/convert.h"
#include "api/values.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "store/mem/mem_store.h"
#include "store/objects.h"

namespace bulwark::api {
namespace {

using ::bulwark::testing::StatusIs;
using record::v1::BackupEntry;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

v1::Object Service(const std::string& name, const std::string& image,
                   const std::string& uid) {
  v1::Object object;
  v1::Service& service = *object.mutable_service();
  service.mutable_metadata()->set_name(name);
  service.mutable_metadata()->set_project("default");
  service.mutable_metadata()->set_uid(uid);
  service.mutable_metadata()->set_generation(1);
  service.mutable_spec()->add_containers()->set_image(image);
  service.mutable_status()->set_revision(uid == "old" ? 4 : 9);
  return object;
}

v1::Object Volume(const std::string& name) {
  v1::Object object;
  object.mutable_volume()->mutable_metadata()->set_name(name);
  object.mutable_volume()->mutable_metadata()->set_project("default");
  object.mutable_volume()->mutable_status()->set_path("/old");
  return object;
}

v1::Object Revision(const std::string& service, int number) {
  v1::Object object;
  v1::Revision& revision = *object.mutable_revision();
  revision.mutable_metadata()->set_name(absl::StrCat(service, "-", number));
  revision.mutable_metadata()->set_project("default");
  revision.set_service(service);
  revision.set_number(number);
  return object;
}

class RestorePlanTest : public ::testing::Test {
 protected:
  static void Put(store::MetadataStore& store, const v1::Object& object) {
    ASSERT_OK(store.Commit(
        store::Batch().Put(store::KeyOf(object), store::Encode(object))));
  }
  static void Put(store::MetadataStore& store, const std::string& kind,
                  const std::string& name, const std::string& value) {
    ASSERT_OK(store.Commit(store::Batch().Put({kind, "", name}, value)));
  }

  Backup Read() {
    auto listing = there_.List({});
    auto backup = ReadBackup(EntriesOf(*listing, {}));
    EXPECT_OK(backup);
    return *std::move(backup);
  }

  absl::StatusOr<RestorePlan> Plan(bool replace) {
    auto here = here_.List({});
    RestoreOptions options;
    options.replace = replace;
    const PlanContext context{stored_, normalize_, v1::Identity(), clock_.Now(),
                              entropy_};
    return PlanRestore(Read(), *here, options, context);
  }

  absl::Status Restore(bool replace) {
    absl::StatusOr<RestorePlan> plan = Plan(replace);
    RETURN_IF_ERROR(plan.status());
    objects_ = plan->objects;
    becomes_.clear();
    for (const v1::ApplyResult& result : plan->results) {
      becomes_.push_back(
          absl::StrCat(v1::ApplyResult::Action_Name(result.action()), " ",
                       NameOf(result.object())));
    }
    return here_.Commit(plan->batch).status();
  }

  v1::Service Get(const std::string& name) {
    auto object = store::GetObject(here_, {"service", "default", name});
    EXPECT_OK(object);
    return object->service();
  }

  testing::FakeClock clock_;
  SeededEntropy entropy_{3};
  StoredObjects stored_;
  const NormalizeReference normalize_ = [](absl::string_view text) {
    return std::string(text);
  };
  store::MemStore there_{clock_}, here_{clock_};
  int64_t objects_ = 0;
  std::vector<std::string> becomes_;  // what the plan says of the objects
};

// A new kind of object must be thought about here.
TEST_F(RestorePlanTest, WhenAKindExists_ItsUseIsDecided) {
  const std::set<std::string> left_out = {"replica", "event", "node"};
  for (const std::string& kind : store::AllKinds()) {
    EXPECT_EQ(UseOf(kind) == BackupUse::kLeftOut, left_out.count(kind) > 0)
        << kind;
  }
  for (const char* kind : {"audit", "audit-head", "keyring", "what-comes"}) {
    EXPECT_EQ(UseOf(kind), BackupUse::kLeftOut) << kind;
  }
}

TEST_F(RestorePlanTest, WhenTheHostIsFresh_EverythingIsAsItWas) {
  Put(there_, Service("web", "nginx:1", "old"));
  Put(there_, Revision("web", 4));
  Put(there_, Volume("data"));
  Put(there_, "secret-value", "key@1", "sealed");
  Put(there_, "audit", "1", "x");
  Put(there_, "replica", "web-0", "x");
  ASSERT_OK(Restore(false));
  EXPECT_EQ(objects_, 2);
  EXPECT_THAT(becomes_,
              ElementsAre("CREATED service web", "CREATED volume data"));
  EXPECT_EQ(Get("web").metadata().uid(), "old");
  EXPECT_EQ(Get("web").status().revision(), 4);
  EXPECT_OK(here_.Get({"revision", "default", "web-4"}));
  EXPECT_EQ(here_.Get({"secret-value", "", "key@1"})->value, "sealed");
  EXPECT_EQ(store::GetObject(here_, {"volume", "default", "data"})
                ->volume()
                .status()
                .path(),
            "");
  EXPECT_FALSE(here_.Get({"audit", "", "1"}).ok());
  EXPECT_FALSE(here_.Get({"replica", "", "web-0"}).ok());
}

TEST_F(RestorePlanTest, WhenObjectsAreDeclaredHere_ItTakesReplace) {
  Put(there_, Service("web", "nginx:1", "old"));
  Put(here_, Service("other", "nginx:9", "new"));
  const uint64_t before = here_.CurrentRevision();
  EXPECT_THAT(Restore(false),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "restore: service other is declared here"));
  EXPECT_EQ(here_.CurrentRevision(), before);
}

TEST_F(RestorePlanTest, WhenOnlyBulwarkdsOwnNetworkIsHere_TheHostIsFresh) {
  v1::Object network;
  network.mutable_network()->mutable_metadata()->set_name("default");
  network.mutable_network()->mutable_metadata()->set_project("default");
  network.mutable_network()->mutable_metadata()->set_uid("theirs");
  Put(there_, network);
  Put(there_, Service("web", "nginx:1", "old"));
  network.mutable_network()->mutable_metadata()->set_uid("ours");
  network.mutable_network()->mutable_status()->set_subnet("10.1.0.0/22");
  Put(here_, network);
  ASSERT_OK(Restore(false));
  // It stays the one that this host has built.
  const auto kept = store::GetObject(here_, {"network", "default", "default"});
  EXPECT_EQ(kept->network().metadata().uid(), "ours");
  EXPECT_EQ(kept->network().status().subnet(), "10.1.0.0/22");
  EXPECT_FALSE(kept->network().metadata().has_actor());
  // One that somebody declared is one.
  network.mutable_network()->mutable_metadata()->mutable_actor()->set_name("a");
  Put(here_, network);
  EXPECT_THAT(Restore(false),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("network default, service web are")));
}

TEST_F(RestorePlanTest, WhenReplaced_OthersGoAndTheSameStaysItself) {
  Put(there_, Service("web", "nginx:1", "old"));
  Put(there_, Revision("web", 4));
  Put(there_, "secret-value", "key@1", "theirs");
  Put(here_, Service("web", "nginx:9", "new"));
  Put(here_, Revision("web", 9));
  Put(here_, Service("other", "nginx:9", "new"));
  Put(here_, Volume("precious"));
  Put(here_, "secret-value", "key@1", "ours");
  Put(here_, "secret-value", "key@2", "ours");
  Put(here_, "audit", "1", "ours");
  ASSERT_OK(Restore(true));
  EXPECT_THAT(becomes_,
              ElementsAre("DELETED service other", "CONFIGURED service web",
                          "UNCHANGED volume precious"));
  EXPECT_EQ(Get("web").metadata().uid(), "new");
  EXPECT_EQ(Get("web").metadata().generation(), 2);
  EXPECT_EQ(Get("web").spec().containers(0).image(), "nginx:1");
  EXPECT_EQ(Get("web").status().revision(), 9);
  EXPECT_FALSE(here_.Get({"revision", "default", "web-4"}).ok());
  EXPECT_TRUE(Get("other").metadata().has_delete_time());
  EXPECT_FALSE(store::GetObject(here_, {"volume", "default", "precious"})
                   ->volume()
                   .metadata()
                   .has_delete_time());
  EXPECT_EQ(here_.Get({"secret-value", "", "key@1"})->value, "theirs");
  EXPECT_FALSE(here_.Get({"secret-value", "", "key@2"}).ok());
  EXPECT_EQ(here_.Get({"audit", "", "1"})->value, "ours");
  // Twice is as once; what leaves is left out.
  ASSERT_OK(Restore(true));
  EXPECT_EQ(Get("web").metadata().generation(), 2);
  EXPECT_THAT(becomes_, ElementsAre("UNCHANGED service web",
                                    "UNCHANGED volume precious"));
}

TEST_F(RestorePlanTest, WhenOnlyLabelsOrValuesDiffer_ThatIsAChange) {
  const auto config = [](const std::string& name, int64_t version,
                         const std::string& digest) {
    v1::Object object;
    v1::Config& inner = *object.mutable_config();
    inner.mutable_metadata()->set_name(name);
    inner.mutable_metadata()->set_project("default");
    inner.mutable_status()->set_version(version);
    v1::ValueVersion& kept = *inner.mutable_status()->add_versions();
    kept.set_version(version);
    kept.set_digest(digest);
    return object;
  };
  Put(there_, config("same", 1, "a"));
  Put(here_, config("same", 1, "a"));
  Put(there_, config("newer", 1, "a"));
  Put(here_, config("newer", 2, "b"));
  Put(there_, config("other", 1, "a"));
  Put(here_, config("other", 1, "b"));
  v1::Object labelled = Service("web", "nginx:1", "old");
  Put(here_, labelled);
  (*labelled.mutable_service()->mutable_metadata()->mutable_labels())["a"] =
      "b";
  Put(there_, labelled);
  for (const char* kind : {"service", "config"}) {
    ASSERT_OK(here_.Commit(
        store::Batch().Put({kind, "default", "broken"}, "no record")));
  }
  Put(there_, config("broken", 1, "a"));
  ASSERT_OK(Restore(true));
  EXPECT_THAT(becomes_,
              UnorderedElementsAre(
                  "CONFIGURED config newer", "CONFIGURED config other",
                  "UNCHANGED config same", "CONFIGURED service web",
                  "UNCHANGED service broken", "CONFIGURED config broken"));
}

// A revision that failed here with version 3 must not be taken for one with the
// value that comes next.
TEST_F(RestorePlanTest, WhenAnOlderVersionComesBack_NoNumberIsUsedTwice) {
  const auto config = [](int64_t version, int64_t highest) {
    v1::Object object;
    v1::Config& inner = *object.mutable_config();
    inner.mutable_metadata()->set_name("conf");
    inner.mutable_metadata()->set_project("default");
    inner.mutable_status()->set_version(version);
    inner.mutable_status()->set_highest_version(highest);
    return object;
  };
  const auto restored = [&] {
    return *store::GetObject(here_, {"config", "default", "conf"});
  };
  Put(there_, config(1, 0));
  Put(here_, config(3, 0));
  for (int i = 0; i < 2; ++i) {
    ASSERT_OK(Restore(true));
    EXPECT_EQ(CurrentVersion(restored()), 1);
    EXPECT_EQ(HighestVersion(restored()), 3);
  }
  v1::Object next = restored();
  store::Batch batch;
  AddVersion(next, {}, {}, clock_.Now(), {}, batch);
  EXPECT_EQ(CurrentVersion(next), 4);
  EXPECT_EQ(HighestVersion(next), 4);
  EXPECT_EQ(next.config().status().highest_version(), 0);

  // One that the backup knows of counts too.
  Put(there_, config(1, 9));
  ASSERT_OK(Restore(true));
  EXPECT_EQ(HighestVersion(restored()), 9);
}

TEST_F(RestorePlanTest, WhenOneIsBeingDeletedHere_ItIsNamed) {
  Put(there_, Service("web", "nginx:1", "old"));
  v1::Object leaving = Service("web", "nginx:1", "new");
  leaving.mutable_service()->mutable_metadata()->mutable_delete_time();
  Put(here_, leaving);
  EXPECT_THAT(Restore(true),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "restore: service web is being deleted here"));
  // One that was on its way out in the backup stays out.
  Put(there_, leaving);
  Put(here_, Service("web", "nginx:1", "new"));
  ASSERT_OK(Restore(true));
  EXPECT_EQ(objects_, 0);
}

TEST_F(RestorePlanTest, WhenAnotherWritesMeanwhile_TheWriteIsRefused) {
  Put(there_, Service("web", "nginx:1", "old"));
  Put(here_, Service("web", "nginx:9", "new"));
  ASSERT_OK_AND_ASSIGN(const RestorePlan plan, Plan(true));
  Put(here_, Service("web", "nginx:8", "new"));
  EXPECT_THAT(here_.Commit(plan.batch), StatusIs(absl::StatusCode::kAborted));
}

TEST_F(RestorePlanTest, WhenEntriesAreNotWhole_TheyAreRefused) {
  Put(there_, Service("web", "nginx:1", "old"));
  auto listing = there_.List({});
  const std::vector<BackupEntry> good = EntriesOf(*listing, {});
  ASSERT_EQ(good.size(), 3);
  const auto refused = [](const std::vector<BackupEntry>& entries) {
    EXPECT_THAT(ReadBackup(entries), StatusIs(absl::StatusCode::kDataLoss));
  };
  refused({});
  refused({good[0], good[2]});
  refused({good[0], good[1]});
  refused({good[1], good[1], good[2]});
  std::vector<BackupEntry> twice = {good[0], good[1], good[1], good[2]};
  twice[3].mutable_end()->set_rows(2);
  refused(twice);
  std::vector<BackupEntry> bad = good;
  bad[1].mutable_row()->set_key("no key");
  refused(bad);
  bad[1].mutable_row()->set_key("audit//1");
  EXPECT_THAT(ReadBackup(bad),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("does not know rows of the kind audit")));
}

}  // namespace
}  // namespace bulwark::api
