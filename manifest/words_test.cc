#include <gtest/gtest.h>

#include "manifest/kinds.h"
#include "manifest/schema.h"
#include "manifest/suggest.h"

namespace bulwark::manifest {
namespace {

TEST(SuggestTest, WhenWordsDiffer_CountsEdits) {
  EXPECT_EQ(EditDistance("", "abc"), 3);
  EXPECT_EQ(EditDistance("replcias", "replicas"), 1);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3);
  EXPECT_EQ(Nearest("host_port", {"port", "hostPort"}), "hostPort");
  EXPECT_EQ(Nearest("banana", {"port", "hostPort"}), "");
}

TEST(KindsTest, WhenNamedByPeople_FindsTheKind) {
  for (const char* word : {"service", "Services", "svc", "SERVICE"}) {
    ASSERT_NE(FindKind(word), nullptr) << word;
    EXPECT_EQ(FindKind(word)->api_name, "service");
  }
  EXPECT_EQ(FindKind("networkpolicies")->api_name, "network-policy");
  EXPECT_EQ(FindKind("cronjob")->api_name, "cron-job");
  EXPECT_EQ(FindKind("banana"), nullptr);
}

TEST(SchemaTest, WhenFieldsMayStandInline_KnowsThem) {
  const auto& cron = *v1::CronJobSpec::descriptor();
  EXPECT_TRUE(Knows(cron, "schedule"));
  EXPECT_TRUE(Knows(cron, "backoffLimit"));
  EXPECT_TRUE(Knows(cron, "image"));
  EXPECT_FALSE(Knows(cron, "replicas"));
  EXPECT_FALSE(Knows(*v1::VolumeSpec::descriptor(), "image"));
  EXPECT_FALSE(Knows(cron, "back_off_limit"));
}

}  // namespace
}  // namespace bulwark::manifest
