#include "store/readable.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "store/mem/mem_store.h"
#include "store/objects.h"

namespace bulwark::store {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;

TEST(ReadableTest, WhenARecordIsBad_TheOthersAreListedAndItIsNamed) {
  testing::FakeClock clock;
  MemStore store(clock);
  Batch batch;
  for (const char* name : {"a", "c"}) {
    const Key key = ObjectKey("service", "shop", name);
    batch.Put(key, Encode(Nameplate(key)));
  }
  const Key bad = ObjectKey("service", "shop", "b");
  batch.Put(bad, "\xff\xff nonsense");
  // Bytes of another kind are no better.
  const Key other = ObjectKey("service", "shop", "d");
  batch.Put(other, Encode(Nameplate(ObjectKey("job", "shop", "d"))));
  ASSERT_OK(store.Commit(batch));

  EXPECT_THAT(ListObjects(store, "service"),
              StatusIs(absl::StatusCode::kDataLoss));
  ASSERT_OK_AND_ASSIGN(const ReadableListing listing,
                       ListReadable(store, "service", "shop"));

  ASSERT_EQ(listing.objects.size(), 2u);
  EXPECT_EQ(MetadataOf(listing.objects[0]).name(), "a");
  EXPECT_EQ(MetadataOf(listing.objects[1]).name(), "c");
  ASSERT_EQ(listing.unreadable.size(), 2u);
  EXPECT_EQ(listing.unreadable[0].record.key, bad);
  EXPECT_EQ(listing.unreadable[0].record.value, "\xff\xff nonsense");
  EXPECT_THAT(listing.unreadable[0].why.message(), HasSubstr("service/shop/b"));
  EXPECT_EQ(listing.unreadable[1].record.key, other);
  EXPECT_EQ(listing.revision, store.CurrentRevision());
}

TEST(ReadableTest, WhenAKindIsKnown_ANameplateHasTheKey) {
  for (const std::string& kind : AllKinds()) {
    const Key key = ObjectKey(kind, "shop", "x");
    EXPECT_EQ(KeyOf(Nameplate(key)), key) << kind;
  }
}

}  // namespace
}  // namespace bulwark::store
