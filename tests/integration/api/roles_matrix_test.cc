// Each RPC by each role, over real connections of real users, against the
// tables of docs/access.md.
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "api/access_rules.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "tests/integration/api/generic_call.h"
#include "tests/integration/api/roles_fixture.h"

namespace bulwark::api {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::Message;
using google::protobuf::MessageFactory;

// Somebody, with roles (columns of the table) in the projects "shop" and
// "default"; 0: none.
struct Actor {
  const char* name;
  uid_t uid;
  int shop;
  int host;
  std::vector<gid_t> groups = {};
};

const Actor kActors[] = {
    {"nobody", 30000, 0, 0},
    {"viewer", 30001, 1, 0},
    {"deployer", 30002, 2, 0},
    {"operator", 30003, 3, 0},
    {"admin", 30004, 4, 0},
    {"operator of the host", 30005, 0, 3},
    {"admin of the host", 30006, 0, 4},
    {"member of a group", 30007, 2, 0, {61000, 61001}},
    {"member of another group", 30008, 0, 0, {61002}},
};

// What some calls need beside the table's right, as the page's list says.
const std::map<std::string, std::string> kExtra = {
    {"Containers.Commit", "images"},
    {"Volumes.Backup", "host-paths"},
    {"Volumes.ListBackups", "host-paths"},
    {"Secrets.Rollback", "secrets"},
};

class RolesMatrixTest : public RolesFixture {
 protected:
  void SetUp() override {
    ReadPage();
    RolesFixture::SetUp();
  }

  void ReadPage() {
    std::ifstream file("docs/access.md");
    ASSERT_TRUE(file.good());
    std::string line;
    while (std::getline(file, line)) {
      absl::string_view text = absl::StripAsciiWhitespace(line);
      if (!absl::ConsumePrefix(&text, "| ") ||
          !absl::ConsumeSuffix(&text, " |")) {
        continue;
      }
      const std::vector<std::string> row = absl::StrSplit(text, " | ");
      if (row.size() == 5) roles_[row[0]] = row;
      if (row.size() == 3) calls_[row[0]] = row;
    }
  }

  bool Has(int role, const std::string& right) {
    return role > 0 && roles_.at(right).at(role) == "yes";
  }

  bool MayBy(const Actor& actor, const std::string& right,
             const std::string& where) {
    if (where == "host") return Has(actor.host, right);
    return Has(actor.shop, right) ||
           (where == "somewhere" && Has(actor.host, right));
  }

  bool May(const Actor& actor, const std::string& call) {
    const std::vector<std::string>& row = calls_.at(call);
    const auto extra = kExtra.find(call);
    return MayBy(actor, row[1], row[2]) &&
           (extra == kExtra.end() || MayBy(actor, extra->second, row[2]));
  }

  void Declare() {
    std::vector<v1::Member> shop, host;
    for (const Actor& actor : kActors) {
      v1::Member member = User(actor.uid, v1::Member::VIEWER);
      if (!actor.groups.empty()) {
        member.clear_user();
        member.set_group(absl::StrCat(actor.groups.back()));
      }
      member.set_role(static_cast<v1::Member::Role>(actor.shop));
      if (actor.shop > 0) shop.push_back(member);
      member.set_role(static_cast<v1::Member::Role>(actor.host));
      if (actor.host > 0) host.push_back(member);
    }
    Project("shop", shop);
    Project("default", host);
    Project("other", {User(30099, v1::Member::ADMIN)});
    ASSERT_OK(Apply({ServiceIn("shop", "web")}));
  }

  std::map<std::string, std::vector<std::string>> roles_, calls_;
};

// A call that gets past the gate, and ends by itself.
std::string RequestOf(const std::string& call) {
  const std::vector<std::string> parts = absl::StrSplit(call, '.');
  const auto* service = DescriptorPool::generated_pool()->FindServiceByName(
      "bulwark.v1." + parts[0]);
  const auto* type = service->FindMethodByName(parts[1])->input_type();
  std::unique_ptr<Message> message(
      MessageFactory::generated_factory()->GetPrototype(type)->New());
  const auto set = [&message, type](const char* field, const char* value) {
    const auto* found = type->FindFieldByName(field);
    if (found != nullptr &&
        found->cpp_type() ==
            google::protobuf::FieldDescriptor::CPPTYPE_STRING) {
      message->GetReflection()->SetString(message.get(), found, value);
    }
  };
  set("project", "shop");
  set("service", "web");
  if (parts[0] == "Resources") {
    set("kind", "service");
    if (parts[1] == "Get") set("name", "web");
  }
  if (auto* apply = dynamic_cast<v1::ApplyRequest*>(message.get())) {
    v1::Service& web = *apply->add_objects()->mutable_service();
    web.mutable_metadata()->set_name("web");
    web.mutable_metadata()->set_project("shop");
    web.mutable_spec()->add_containers()->set_image("nginx:2");
  } else if (auto* remove = dynamic_cast<v1::DeleteRequest*>(message.get())) {
    remove->add_objects()->set_kind("service");
    remove->mutable_objects(0)->set_project("shop");
    remove->mutable_objects(0)->set_name("web");
  } else if (auto* watch = dynamic_cast<v1::WatchRequest*>(message.get())) {
    watch->set_from_revision(int64_t{1} << 40);  // never was: an error
  } else if (auto* exec = dynamic_cast<v1::ExecRequest*>(message.get())) {
    exec->mutable_start()->set_project("shop");
    exec->mutable_start()->set_target("none");
    exec->mutable_start()->add_command("true");
  } else if (auto* attach = dynamic_cast<v1::AttachRequest*>(message.get())) {
    attach->mutable_start()->set_project("shop");
    attach->mutable_start()->set_target("none");
  } else if (auto* copy = dynamic_cast<v1::CopyToRequest*>(message.get())) {
    copy->mutable_start()->set_project("shop");
    copy->mutable_start()->set_target("none");
  }
  return message->SerializeAsString();
}

TEST_F(RolesMatrixTest, WhenEachRoleMakesEachCall_TheTableIsKept) {
  Declare();
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (const Actor& actor : kActors) {
    channels.push_back(As(actor.uid, actor.groups));
  }
  int allowed = 0, denied = 0, unserved = 0;
  for (const AccessRule& rule : kAccessRules) {
    const std::string call = ShortName(rule.method);
    const std::string request = RequestOf(call);
    // Those who may not come first: what they would do must not be done.
    for (const bool may : {false, true}) {
      for (size_t i = 0; i < channels.size(); ++i) {
        if (May(kActors[i], call) != may) continue;
        const auto before = Rows();
        const grpc::Status status =
            GenericCall(channels[i], std::string(rule.method), request);
        SCOPED_TRACE(absl::StrCat(kActors[i].name, " calls ", call, ": ",
                                  status.error_code(), " ",
                                  status.error_message()));
        // Who may not call it is refused before that is found.
        if (may && status.error_code() == grpc::StatusCode::UNIMPLEMENTED) {
          ++unserved;
          continue;
        }
        EXPECT_NE(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
        EXPECT_EQ(status.error_code() == grpc::StatusCode::PERMISSION_DENIED,
                  !may);
        if (!may) {
          EXPECT_EQ(Rows(), before);
        }
        ++(may ? allowed : denied);
      }
    }
  }
  EXPECT_GE(allowed + denied, static_cast<int>(19 * std::size(kActors)));
  EXPECT_GT(allowed, 50);
  EXPECT_GT(denied, 50);
  RecordProperty("unserved", unserved);
}

}  // namespace
}  // namespace bulwark::api
