#include "api/members.h"

#include <gtest/gtest.h>

#include "api/caller.h"
#include "api/errors.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "store/mem/mem_store.h"
#include "store/objects.h"

namespace bulwark::api {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;

constexpr uid_t kOwn = 777;

Peer PeerNamed(const std::string& name, uid_t uid, gid_t gid,
               std::vector<gid_t> groups = {}) {
  Peer peer;
  peer.identity.set_name(name);
  peer.identity.set_uid(uid);
  peer.identity.set_gid(gid);
  peer.groups = std::move(groups);
  return peer;
}

v1::Member User(const std::string& user, v1::Member::Role role) {
  v1::Member member;
  member.set_user(user);
  member.set_role(role);
  return member;
}

v1::Member Group(const std::string& group, v1::Member::Role role) {
  v1::Member member;
  member.set_group(group);
  member.set_role(role);
  return member;
}

class MembersTest : public ::testing::Test {
 protected:
  void Project(const std::string& name, const std::vector<v1::Member>& list) {
    v1::Object object;
    object.mutable_project()->mutable_metadata()->set_name(name);
    for (const v1::Member& member : list) {
      *object.mutable_project()->mutable_spec()->add_members() = member;
    }
    ASSERT_OK(store_.Commit(
        store::Batch().Put(store::KeyOf(object), store::Encode(object))));
  }

  testing::FakeClock clock_;
  store::MemStore store_{clock_};
  Members members_{store_, kOwn};
  const Peer alice_ = PeerNamed("alice", 1001, 1001, {50000, 50001});
};

TEST_F(MembersTest, WhenNobodyIsListed_OnlyRootAndTheDaemonMay) {
  EXPECT_THAT(members_.RightsOf(alice_, "default"), IsOkAndHolds(Rights()));
  EXPECT_THAT(members_.RightsOf(PeerNamed("root", 0, 0), "default"),
              IsOkAndHolds(Rights::All()));
  EXPECT_THAT(members_.RightsOf(PeerNamed("bulwark", kOwn, 1), "none"),
              IsOkAndHolds(Rights::All()));
}

TEST_F(MembersTest, WhenListed_NameNumberAndGroupsCount) {
  Project("shop", {User("alice", v1::Member::VIEWER)});
  Project("crm", {User("1001", v1::Member::DEPLOYER)});
  Project("lab", {Group("50001", v1::Member::OPERATOR)});
  Project("own", {Group("1001", v1::Member::ADMIN)});
  Project(
      "none",
      {User("alic", v1::Member::ADMIN), User("100", v1::Member::ADMIN),
       Group("alice", v1::Member::ADMIN), Group("5000", v1::Member::ADMIN)});
  const auto of = [](v1::Member::Role role) {
    return IsOkAndHolds(api::RightsOf(role));
  };
  EXPECT_THAT(members_.RightsOf(alice_, "shop"), of(v1::Member::VIEWER));
  EXPECT_THAT(members_.RightsOf(alice_, "crm"), of(v1::Member::DEPLOYER));
  EXPECT_THAT(members_.RightsOf(alice_, "lab"), of(v1::Member::OPERATOR));
  EXPECT_THAT(members_.RightsOf(alice_, "own"), of(v1::Member::ADMIN));
  EXPECT_THAT(members_.RightsOf(alice_, "none"), IsOkAndHolds(Rights()));
  EXPECT_THAT(members_.RightsOf(alice_, "*"), of(v1::Member::ADMIN));
  EXPECT_THAT(members_.RightsOf(PeerNamed("bob", 1002, 1002), "*"),
              IsOkAndHolds(Rights()));
}

TEST_F(MembersTest, WhenAGroupHasAName_ItIsFound) {
  UserNames names;
  const Peer peer = PeerNamed("x", 1, 50002, {0});
  EXPECT_TRUE(Means(Group("root", v1::Member::VIEWER), peer, names));
  EXPECT_FALSE(Means(Group("no-such-group", v1::Member::VIEWER), peer, names));
  EXPECT_FALSE(Means(v1::Member(), peer, names));
}

TEST_F(MembersTest, WhenMembersChange_TheNextQuestionKnows) {
  Project("shop", {User("alice", v1::Member::VIEWER)});
  EXPECT_THAT(members_.RightsOf(alice_, "shop"),
              IsOkAndHolds(api::RightsOf(v1::Member::VIEWER)));
  Project("shop", {User("alice", v1::Member::ADMIN)});
  EXPECT_THAT(members_.RightsOf(alice_, "shop"), IsOkAndHolds(Rights::All()));
  Project("shop", {});
  EXPECT_THAT(members_.RightsOf(alice_, "shop"), IsOkAndHolds(Rights()));
  Project("shop", {User("alice", v1::Member::ADMIN)});
  ASSERT_OK(members_.RightsOf(alice_, "shop"));
  ASSERT_OK(store_.Commit(
      store::Batch().Delete(store::ObjectKey("project", "", "shop"))));
  EXPECT_THAT(members_.RightsOf(alice_, "shop"), IsOkAndHolds(Rights()));
}

TEST_F(MembersTest, WhenTheLogIsTooShort_EverythingIsReadAgain) {
  store::MemStore store(clock_, {absl::Seconds(1), 2});
  Members members(store, kOwn);
  ASSERT_THAT(members.RightsOf(alice_, "shop"), IsOkAndHolds(Rights()));
  v1::Object object;
  object.mutable_project()->mutable_metadata()->set_name("shop");
  *object.mutable_project()->mutable_spec()->add_members() =
      User("alice", v1::Member::ADMIN);
  ASSERT_OK(store.Commit(
      store::Batch().Put(store::KeyOf(object), store::Encode(object))));
  for (int i = 0; i < 20; ++i) {
    clock_.Advance(absl::Seconds(2));
    ASSERT_OK(store.Commit(store::Batch().Put({"node", "", "x"}, "y")));
  }
  EXPECT_THAT(members.RightsOf(alice_, "shop"), IsOkAndHolds(Rights::All()));
}

TEST_F(MembersTest, WhenAProjectCannotBeRead_NobodyIsLetIn) {
  Project("shop", {User("alice", v1::Member::VIEWER)});
  const Authorizer authorizer = [this](const Peer& p, const std::string& name) {
    return members_.RightsOf(p, name);
  };
  const Caller caller(alice_, authorizer);
  EXPECT_TRUE(caller.Can(Right::kView, "shop"));
  ASSERT_OK(store_.Commit(
      store::Batch().Put({"project", "default", "shop"}, "\xff\xff")));
  for (const char* project : {"default", "shop"}) {
    EXPECT_FALSE(caller.Can(Right::kView, project));
    EXPECT_THAT(caller.Require(Right::kView, project),
                StatusIs(absl::StatusCode::kPermissionDenied));
  }
}

TEST_F(MembersTest, WhenARightIsMissing_TheErrorSaysWhatToAdd) {
  Project("shop", {User("alice", v1::Member::VIEWER)});
  const Authorizer authorizer = [this](const Peer& p, const std::string& name) {
    return members_.RightsOf(p, name);
  };
  const absl::Status status =
      Caller(alice_, authorizer)
          .Require(Right::kHostPaths, "shop", "mount the host's /etc");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kPermissionDenied,
                               "mount the host's /etc: alice lacks the right "
                               "\"host-paths\" in project shop"));
  EXPECT_THAT(DetailOf(status)->remedy(),
              HasSubstr("{user: alice, role: deployer, rights: [host-paths]} "
                        "to the members of project shop"));
  const absl::Status nobody =
      Caller(PeerNamed("uid:9", 9, 9), authorizer).Require(Right::kView, "*");
  EXPECT_THAT(DetailOf(nobody)->remedy(),
              HasSubstr("{user: 9, role: viewer} to the members of a project"));
}

}  // namespace
}  // namespace bulwark::api
