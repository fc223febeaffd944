// Roles, rules and what requests need: the tables of docs/access.md.
#include "api/demands.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "proto/bulwark/v1/api.pb.h"

namespace bulwark::api {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Row = std::vector<std::string>;

// The cells of all rows whose first cell is in `pages`' tables of that width.
std::vector<Row> DocumentedRows(size_t cells) {
  std::ifstream file("docs/access.md");
  EXPECT_TRUE(file.good());
  std::vector<Row> rows;
  std::string line;
  while (std::getline(file, line)) {
    absl::string_view text = absl::StripAsciiWhitespace(line);
    if (!absl::ConsumePrefix(&text, "| ") ||
        !absl::ConsumeSuffix(&text, " |")) {
      continue;
    }
    Row row = absl::StrSplit(text, " | ");
    if (row.size() == cells) rows.push_back(std::move(row));
  }
  EXPECT_GT(rows.size(), 2);
  rows.erase(rows.begin());  // the header
  return rows;
}

std::string TextOf(Scope scope) {
  switch (scope) {
    case Scope::kProject:
    case Scope::kMessage:
      return "project";
    case Scope::kShown:
      return "shown";
    case Scope::kObjects:
      return "objects";
    case Scope::kAnywhere:
      return "somewhere";
    case Scope::kHost:
      return "host";
  }
  return "";
}

// "deploy@shop", with the projects that will do.
std::vector<std::string> Texts(const std::vector<Demand>& demands) {
  std::vector<std::string> texts;
  for (const Demand& demand : demands) {
    texts.push_back(absl::StrCat(NameOf(demand.right), "@",
                                 absl::StrJoin(demand.projects, "|")));
  }
  return texts;
}

std::vector<std::string> Needs(const char* method,
                               const google::protobuf::Message& request) {
  return Texts(DemandsOf(*FindRule(method), &request));
}

TEST(RightsTest, WhenDocumented_RolesAreAsTheTableSays) {
  const std::vector<v1::Member::Role> roles = {
      v1::Member::VIEWER, v1::Member::DEPLOYER, v1::Member::OPERATOR,
      v1::Member::ADMIN};
  const std::vector<Row> rows = DocumentedRows(5);
  ASSERT_EQ(rows.size(), kRights);
  for (int i = 0; i < kRights; ++i) {
    const Right right = static_cast<Right>(i);
    EXPECT_EQ(rows[i][0], NameOf(right));
    for (size_t r = 0; r < roles.size(); ++r) {
      EXPECT_EQ(RightsOf(roles[r]).Has(right), rows[i][r + 1] == "yes")
          << NameOf(right) << " of " << v1::Member::Role_Name(roles[r]);
    }
  }
  EXPECT_TRUE(RightsOf(v1::Member::ROLE_UNSPECIFIED).empty());
}

TEST(RightsTest, WhenGivenBesideARole_RightsAreAdded) {
  v1::Member member;
  member.set_role(v1::Member::VIEWER);
  member.add_rights(v1::Member::SECRETS);
  member.add_rights(v1::Member::EXEC);
  EXPECT_EQ(RightsOf(member),
            Rights({Right::kView, Right::kSecrets, Right::kExec}));
}

TEST(AccessRulesTest, WhenDocumented_EachCallIsAsTheTableSays) {
  std::map<std::string, Row> rows;
  for (const Row& row : DocumentedRows(3)) rows[row[0]] = row;
  EXPECT_EQ(rows.size(), std::size(kAccessRules));
  for (const AccessRule& rule : kAccessRules) {
    const Row& row = rows[ShortName(rule.method)];
    ASSERT_EQ(row.size(), 3) << rule.method;
    EXPECT_EQ(row[1], NameOf(rule.right)) << rule.method;
    EXPECT_EQ(row[2], TextOf(rule.scope)) << rule.method;
  }
}

TEST(DemandsTest, WhenObjectsAreApplied_EveryProjectCounts) {
  v1::ApplyRequest request;
  request.add_objects()->mutable_service()->mutable_metadata()->set_name("web");
  request.add_objects()->mutable_volume()->mutable_metadata()->set_project(
      "shop");
  request.add_objects()->mutable_secret()->mutable_metadata()->set_project(
      "shop");
  request.add_objects()->mutable_project()->mutable_metadata()->set_name("crm");
  request.add_objects()->mutable_project()->mutable_metadata()->set_name(
      "default");
  EXPECT_THAT(Needs("/bulwark.v1.Resources/Apply", request),
              ElementsAre("deploy@default", "deploy@shop", "secrets@shop",
                          "admin@default|crm", "admin@default"));
  request.clear_objects();
  (*request.mutable_prune_labels())["a"] = "b";
  request.set_prune_project("crm");
  EXPECT_THAT(Needs("/bulwark.v1.Resources/Apply", request),
              ElementsAre("deploy@crm"));
  EXPECT_THAT(Needs("/bulwark.v1.Resources/Apply", v1::ApplyRequest()),
              ElementsAre("deploy@default"));
}

TEST(DemandsTest, WhenObjectsAreDeleted_ProjectsNeedTheHostsAdmin) {
  v1::DeleteRequest request;
  request.add_objects()->set_kind("service");
  request.add_objects()->set_kind("secret");
  request.mutable_objects(1)->set_project("shop");
  request.add_objects()->set_kind("project");
  request.mutable_objects(2)->set_name("shop");
  EXPECT_THAT(Needs("/bulwark.v1.Resources/Delete", request),
              ElementsAre("deploy@default", "secrets@shop", "admin@default"));
}

TEST(DemandsTest, WhenRead_ProjectsAndNodesAreSeenElsewhere) {
  v1::GetRequest get;
  get.set_kind("service");
  get.set_project("shop");
  EXPECT_THAT(Needs("/bulwark.v1.Resources/Get", get),
              ElementsAre("view@shop"));
  get.set_kind("project");
  get.set_name("crm");
  EXPECT_THAT(Needs("/bulwark.v1.Resources/Get", get), ElementsAre("view@crm"));
  v1::ListRequest list;
  list.set_kind("node");
  EXPECT_THAT(Needs("/bulwark.v1.Resources/List", list), ElementsAre("view@*"));
  list.set_kind("project");
  EXPECT_THAT(Needs("/bulwark.v1.Resources/List", list), ElementsAre("view@*"));
  list.set_kind("service");
  EXPECT_THAT(Needs("/bulwark.v1.Resources/List", list),
              ElementsAre("view@default"));
  list.set_project("*");
  EXPECT_THAT(Needs("/bulwark.v1.Resources/List", list), ElementsAre("view@*"));
}

TEST(DemandsTest, WhenAHostPathIsUsed_VolumesNeedMore) {
  v1::RestoreVolumeRequest restore;
  restore.set_project("shop");
  restore.set_snapshot("one");
  EXPECT_THAT(Needs("/bulwark.v1.Volumes/Restore", restore),
              ElementsAre("operate@shop"));
  restore.mutable_backup()->mutable_repository()->set_path("/srv");
  EXPECT_THAT(Needs("/bulwark.v1.Volumes/Restore", restore),
              ElementsAre("operate@shop", "host-paths@shop"));
  EXPECT_THAT(Needs("/bulwark.v1.Volumes/Backup", v1::BackupVolumeRequest()),
              ElementsAre("operate@default", "host-paths@default"));
  EXPECT_THAT(
      Needs("/bulwark.v1.Volumes/ListBackups", v1::ListBackupsRequest()),
      ElementsAre("view@default", "host-paths@default"));
  v1::RollbackValueRequest rollback;
  rollback.set_kind("secret");
  EXPECT_THAT(Needs("/bulwark.v1.Secrets/Rollback", rollback),
              ElementsAre("deploy@default", "secrets@default"));
  rollback.set_kind("config");
  EXPECT_THAT(Needs("/bulwark.v1.Secrets/Rollback", rollback),
              ElementsAre("deploy@default"));
}

v1::Object WithHostMount() {
  v1::Object object;
  object.mutable_service()->mutable_metadata()->set_name("web");
  v1::Container& container =
      *object.mutable_service()->mutable_spec()->add_containers();
  container.set_name("web");
  container.set_image("nginx");
  container.add_volumes()->set_host_path("/etc");
  return object;
}

TEST(DemandsTest, WhenContainersChange_TheirContentNeedsItsRight) {
  const v1::Object before = WithHostMount();
  EXPECT_THAT(Texts(DemandsOfChange(nullptr, &before)),
              ElementsAre("host-paths@default"));
  EXPECT_THAT(DemandsOfChange(&before, &before), IsEmpty());

  v1::Object after = before;
  after.mutable_service()->mutable_spec()->set_replicas(7);
  after.mutable_service()->mutable_spec()->add_ports()->set_host_port(80);
  after.mutable_service()
      ->mutable_spec()
      ->mutable_containers(0)
      ->mutable_resources()
      ->set_pids(7);
  EXPECT_THAT(DemandsOfChange(&before, &after), IsEmpty());

  // Another program with the same mount.
  after.mutable_service()->mutable_spec()->mutable_containers(0)->set_image(
      "evil");
  EXPECT_THAT(Texts(DemandsOfChange(&before, &after)),
              ElementsAre("host-paths@default"));
  // Without the mount it is anybody's.
  after.mutable_service()
      ->mutable_spec()
      ->mutable_containers(0)
      ->clear_volumes();
  EXPECT_THAT(DemandsOfChange(&before, &after), IsEmpty());
}

TEST(DemandsTest, WhenAnyContainerHasIt_ItIsFound) {
  v1::Object object;
  v1::CronJob& cron = *object.mutable_cron_job();
  cron.mutable_metadata()->set_project("shop");
  v1::JobSpec& job = *cron.mutable_spec()->mutable_job();
  job.add_containers()->add_secrets()->set_name("key");
  job.add_init_containers()->set_profile(v1::Container::PRIVILEGED);
  EXPECT_THAT(Texts(DemandsOfChange(nullptr, &object)),
              ElementsAre("secrets@shop", "privileged@shop"));
  v1::Object device;
  device.mutable_service()
      ->mutable_spec()
      ->add_containers()
      ->add_devices()
      ->set_host_path("/dev/fuse");
  EXPECT_THAT(Texts(DemandsOfChange(nullptr, &device)),
              ElementsAre("privileged@default"));
  v1::Object service;
  service.mutable_service()->mutable_spec()->add_sidecars()->set_profile(
      v1::Container::PRIVILEGED);
  EXPECT_THAT(Texts(DemandsOfChange(nullptr, &service)),
              ElementsAre("privileged@default"));
}

TEST(DemandsTest, WhenAContainerGetsMoreThanItsProfile_IsPrivileged) {
  v1::Object object;
  v1::Container& container =
      *object.mutable_service()->mutable_spec()->add_containers();
  const auto demands = [&] { return Texts(DemandsOfChange(nullptr, &object)); };
  container.mutable_capabilities()->add_drop("ALL");
  container.mutable_capabilities()->add_add("CAP_CHOWN");
  EXPECT_THAT(demands(), IsEmpty());
  container.set_profile(v1::Container::RESTRICTED);
  EXPECT_THAT(demands(), ElementsAre("privileged@default"));
  container.set_profile(v1::Container::BASELINE);
  container.mutable_capabilities()->set_add(0, "net_admin");
  EXPECT_THAT(demands(), ElementsAre("privileged@default"));
  container.mutable_capabilities()->set_add(0, "ALL");
  EXPECT_THAT(demands(), ElementsAre("privileged@default"));
  container.clear_capabilities();
  container.set_host_users(true);
  EXPECT_THAT(demands(), ElementsAre("privileged@default"));
}

TEST(DemandsTest, WhenPruned_SecretsNeedTheirRight) {
  v1::Object object;
  object.mutable_secret()->mutable_metadata()->set_name("key");
  EXPECT_THAT(Texts(DemandsOfChange(&object, nullptr)),
              ElementsAre("secrets@default"));
  v1::Object project;
  project.mutable_project()->mutable_metadata()->set_name("crm");
  EXPECT_THAT(Texts(DemandsOfChange(nullptr, &project)),
              ElementsAre("admin@default"));
}

}  // namespace
}  // namespace bulwark::api
