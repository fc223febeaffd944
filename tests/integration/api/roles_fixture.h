// A server that knows roles, and its users.
#ifndef TESTS_INTEGRATION_API_ROLES_FIXTURE_H_
#define TESTS_INTEGRATION_API_ROLES_FIXTURE_H_

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "store/objects.h"
#include "tests/integration/api/connect_as.h"
#include "tests/integration/api/fixture.h"

namespace bulwark::api {

inline constexpr gid_t kSocketGroup = 54321;

class RolesFixture : public ApiTest {
 protected:
  void SetUp() override {
    if (getuid() != 0) GTEST_SKIP() << "needs root to be somebody else";
    home_.reset(getcwd(nullptr, 0));
    ASSERT_EQ(chmod(dir_.path().c_str(), 0711), 0);
    ASSERT_EQ(chdir(dir_.path().c_str()), 0);
    options_.group = absl::StrCat(kSocketGroup);
    authorizer_ = nullptr;  // the members of projects
    StartServer();
  }
  void TearDown() override {
    if (home_ == nullptr) return;
    ASSERT_EQ(chdir(home_.get()), 0);
  }

  std::shared_ptr<grpc::Channel> As(uid_t uid,
                                    const std::vector<gid_t>& groups = {}) {
    const int fd = ConnectAs(uid, kSocketGroup, groups);
    EXPECT_GE(fd, 0) << strerror(errno);
    return ChannelOn(fd);
  }

  static v1::Member User(uid_t uid, v1::Member::Role role,
                         const std::vector<v1::Member::Right>& rights = {}) {
    v1::Member member;
    member.set_user(absl::StrCat(uid));
    member.set_role(role);
    for (const v1::Member::Right right : rights) member.add_rights(right);
    return member;
  }

  // By root.
  void Project(const std::string& name,
               const std::vector<v1::Member>& members) {
    v1::Object object = ProjectObject(name, members);
    ASSERT_THAT(Apply({object}), testing::IsOk());
  }
  static v1::Object ProjectObject(const std::string& name,
                                  const std::vector<v1::Member>& members) {
    v1::Object object;
    object.mutable_project()->mutable_metadata()->set_name(name);
    for (const v1::Member& member : members) {
      *object.mutable_project()->mutable_spec()->add_members() = member;
    }
    return object;
  }

  static v1::Object ServiceIn(const std::string& project,
                              const std::string& name,
                              const std::string& image = "nginx:1.27") {
    v1::Object object = Service(name, image);
    object.mutable_service()->mutable_metadata()->set_project(project);
    return object;
  }

  // Every row, but those of the audit log.
  std::map<std::string, std::string> Rows() {
    std::map<std::string, std::string> rows;
    const auto listing = store_.List({});
    EXPECT_THAT(listing, testing::IsOk());
    for (const store::Record& record : listing->records) {
      if (record.key.kind.rfind("audit", 0) == 0) continue;
      rows[record.key.ToString()] = record.value;
    }
    return rows;
  }

 private:
  struct Free {
    void operator()(char* text) const { free(text); }
  };
  std::unique_ptr<char, Free> home_;
};

}  // namespace bulwark::api

#endif  // TESTS_INTEGRATION_API_ROLES_FIXTURE_H_
