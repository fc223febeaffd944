#include "store/objects.h"

#include "base/testing/status_matchers.h"

namespace bulwark::store {
namespace {

using ::bulwark::testing::StatusIs;

v1::Object Web() {
  v1::Object object;
  v1::Metadata& metadata = *object.mutable_service()->mutable_metadata();
  metadata.set_name("web");
  metadata.set_resource_version("7");
  return object;
}

TEST(ObjectsTest, KindsAreKebabCaseAndMakeObjects) {
  for (const std::string& kind : AllKinds()) {
    std::optional<v1::Object> object = NewObject(kind);
    ASSERT_TRUE(object.has_value()) << kind;
    EXPECT_EQ(KindOf(*object), kind);
    MutableMetadata(*object).set_name("x");
    EXPECT_EQ(MetadataOf(*object).name(), "x");
  }
  EXPECT_TRUE(NewObject("cron-job").has_value());
  EXPECT_FALSE(NewObject("cron_job").has_value());
  EXPECT_EQ(KindOf(v1::Object()), "");
}

TEST(ObjectsTest, WhenNoProjectIsGiven_TheKeyIsInDefault) {
  EXPECT_EQ(KeyOf(Web()).ToString(), "service/default/web");
}

TEST(ObjectsTest, RoundTripKeepsAllButTheVersion) {
  Record record{KeyOf(Web()), Encode(Web()), 12};
  ASSERT_OK_AND_ASSIGN(v1::Object object, Decode(record));
  EXPECT_EQ(MetadataOf(object).name(), "web");
  EXPECT_EQ(MetadataOf(object).resource_version(), "12");
  EXPECT_EQ(RevisionOf(object), 12);
}

TEST(ObjectsTest, WhenAStringIsNoUtf8_TheRecordCanStillBeRead) {
  v1::Object object = Web();
  v1::Service& web = *object.mutable_service();
  (*web.mutable_metadata()->mutable_labels())["tier"] = "gr\xfcn";
  web.mutable_spec()->add_containers()->add_command("\xff\xfe");
  web.mutable_status()->add_conditions()->set_message("\xc3\xbc \xc3");
  web.mutable_status()->add_published("\xc3\xbc");
  ASSERT_OK_AND_ASSIGN(object,
                       Decode(Record{KeyOf(object), Encode(object), 12}));
  EXPECT_EQ(object.service().metadata().labels().at("tier"), "gr?n");
  EXPECT_EQ(object.service().spec().containers(0).command(0), "??");
  EXPECT_EQ(object.service().status().conditions(0).message(), "?? ?");
  EXPECT_EQ(object.service().status().published(0), "\xc3\xbc");
}

TEST(ObjectsTest, WhenVersionIsNoNumber_ItMatchesNoRecord) {
  v1::Object object = Web();
  MutableMetadata(object).set_resource_version("x");
  EXPECT_EQ(RevisionOf(object), UINT64_MAX);
}

TEST(ObjectsTest, WhenTheRecordIsOfAnotherKindOrGarbage_SaysDataLoss) {
  EXPECT_THAT(Decode(Key{"job", "default", "web"}, Encode(Web()), 1),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(Decode(Key{"service", "default", "web"}, "\xff\xff", 1),
              StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace bulwark::store
