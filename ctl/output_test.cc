// -o of commands about secrets, volumes, jobs, the audit log and revisions, and
// of describe.
#include <nlohmann/json.hpp>

#include "ctl/testing/fixture.h"

namespace bulwark::ctl::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class OutputTest : public CtlTest {
 protected:
  OutputTest() {
    v1::Object object;
    v1::Secret& secret = *object.mutable_secret();
    secret.mutable_metadata()->set_name("db");
    secret.mutable_spec()->set_sealed_value("hunter2");
    v1::SecretStatus& status = *secret.mutable_status();
    status.set_version(2);
    for (int version : {1, 2}) {
      v1::ValueVersion& v = *status.add_versions();
      v.set_version(version);
      v.set_digest("0123456789abcdef");
    }
    server_.Put(object);
    v1::Volume& volume = *object.mutable_volume();
    volume.mutable_metadata()->set_name("data");
    volume.mutable_status()->set_path("/srv/data");
    volume.mutable_status()->add_snapshots()->set_name("before");
    server_.Put(object);
    object.mutable_job()->mutable_metadata()->set_name("import");
    server_.Put(object);
    object.mutable_cron_job()->mutable_metadata()->set_name("nightly");
    server_.Put(object);
  }
};

TEST_F(OutputTest, SecretsAreTheObjectsWithoutValues) {
  EXPECT_EQ(Ctl({"secret", "list", "-o", "json"}), kExitOk) << err_;
  EXPECT_THAT(out_, AllOf(StartsWith("["), HasSubstr("\"name\": \"db\""),
                          HasSubstr("\"version\": 2")));
  for (const char* form : {"json", "yaml", "manifest", "name"}) {
    EXPECT_EQ(Ctl({"secret", "list", "-o", form}), kExitOk) << err_;
    EXPECT_THAT(out_, AllOf(HasSubstr("db"), Not(HasSubstr("hunter2")),
                            Not(HasSubstr("aHVudGVyMg")),
                            Not(HasSubstr("sealedValue"))));
  }
  EXPECT_EQ(Ctl({"secret", "list", "-o", "wide"}), kExitUsage);
  EXPECT_EQ(err_, "error: -o wide: one of json, yaml, manifest, name\n");
  EXPECT_EQ(Ctl({"config", "list", "-o", "json"}), kExitOk) << err_;
  EXPECT_EQ(out_, "[]\n");
}

TEST_F(OutputTest, AHistoryIsTheVersionsAndWhichIsInForce) {
  EXPECT_EQ(Ctl({"secret", "history", "db", "-o", "json"}), kExitOk) << err_;
  EXPECT_THAT(out_, AllOf(StartsWith("{\n  \"version\": 2,\n  \"versions\": ["),
                          HasSubstr("\"digest\": \"0123456789abcdef\""),
                          Not(HasSubstr("hunter2"))));
  EXPECT_EQ(Ctl({"secret", "history", "db", "-o", "yaml"}), kExitOk) << err_;
  EXPECT_THAT(out_, StartsWith("version: 2\n"));
  EXPECT_EQ(Ctl({"secret", "history", "db", "-o", "name"}), kExitUsage);
}

TEST_F(OutputTest, TheStatusOfSecretsAndOfTheAuditLogAreAnswers) {
  EXPECT_EQ(Ctl({"secret", "status", "-o", "json"}), kExitOk) << err_;
  EXPECT_THAT(out_, AllOf(StartsWith("{"), HasSubstr("\"publicKey\"")));
  EXPECT_EQ(Ctl({"audit", "verify", "-o", "json"}), kExitOk) << err_;
  EXPECT_THAT(out_, AllOf(StartsWith("{"), HasSubstr("\"records\": 2"),
                          HasSubstr("\"lastHash\": \"base64:q80=\"")));
  EXPECT_EQ(Ctl({"audit", "verify"}), kExitOk) << err_;
  EXPECT_EQ(out_, "2 records, all in place; the last one's hash is abcd\n");
  EXPECT_EQ(Ctl({"audit", "verify", "-o", "wide"}), kExitUsage);
  EXPECT_EQ(err_, "error: -o wide: json or yaml\n");
}

TEST_F(OutputTest, VolumesHaveTheFormsOfGet) {
  EXPECT_EQ(Ctl({"volume", "list", "-o", "json"}), kExitOk) << err_;
  const std::string list = out_;
  EXPECT_EQ(Ctl({"get", "volumes", "-o", "json"}), kExitOk) << err_;
  EXPECT_EQ(list, out_);
  EXPECT_EQ(Ctl({"volume", "list", "-o", "name"}), kExitOk) << err_;
  EXPECT_EQ(out_, "volume/data\n");
  EXPECT_EQ(Ctl({"volume", "list", "-o", "wide"}), kExitOk) << err_;
  EXPECT_THAT(out_, StartsWith("NAME"));
  EXPECT_EQ(Ctl({"volume", "describe", "data", "-o", "json"}), kExitOk) << err_;
  EXPECT_THAT(out_, AllOf(StartsWith("{"), HasSubstr("\"/srv/data\"")));
  EXPECT_EQ(Ctl({"volume", "snapshots", "data", "-o", "json"}), kExitOk)
      << err_;
  EXPECT_THAT(
      out_, AllOf(StartsWith("{\n  \"snapshots\": ["), HasSubstr("\"before\""),
                  Not(HasSubstr("/srv/data"))));
  EXPECT_EQ(Ctl({"volume", "backups", "data", "--repository", "/b",
                 "--password-secret", "p", "-o", "json"}),
            kExitOk)
      << err_;
  EXPECT_THAT(out_,
              AllOf(StartsWith("{\n  \"backups\": ["), HasSubstr("\"5f3a\"")));
}

TEST_F(OutputTest, JobsOfBothKindsAreOneArray) {
  EXPECT_EQ(Ctl({"job", "list", "-o", "name"}), kExitOk) << err_;
  EXPECT_EQ(out_, "cron-job/nightly\njob/import\n");
  EXPECT_EQ(Ctl({"job", "list", "-o", "json"}), kExitOk) << err_;
  EXPECT_THAT(out_, AllOf(StartsWith("["), HasSubstr("\"CronJob\""),
                          HasSubstr("\"import\"")));
  EXPECT_EQ(Ctl({"job", "describe", "import", "-o", "json"}), kExitOk) << err_;
  EXPECT_THAT(out_, AllOf(StartsWith("{"), HasSubstr("\"import\"")));
  EXPECT_EQ(Ctl({"job", "describe", "import", "nightly", "-o", "json"}),
            kExitOk)
      << err_;
  EXPECT_THAT(out_, AllOf(StartsWith("["), HasSubstr("\"nightly\"")));
  EXPECT_EQ(Ctl({"job", "describe", "import", "none", "-o", "json"}),
            kExitError);
  EXPECT_EQ(out_, "");
  EXPECT_EQ(Ctl({"-p", "empty", "job", "list", "-o", "json"}), kExitOk);
  EXPECT_EQ(out_ + err_, "[]\n");
}

// The document that `text` is; an empty one and a failure if it is none.
nlohmann::json Read(const std::string& text) {
  nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  EXPECT_FALSE(json.is_discarded()) << text;
  return json;
}

v1::Object MakeEvent(const std::string& kind, const std::string& name,
                     int64_t second) {
  v1::Object object;
  v1::Event& event = *object.mutable_event();
  event.mutable_metadata()->set_name(absl::StrCat(name, "-", second));
  event.mutable_subject()->set_kind(kind);
  event.mutable_subject()->set_name(name);
  event.set_reason("Applied");
  event.mutable_last_time()->set_seconds(1893456000 + second);
  return object;
}

TEST_F(OutputTest, WhatIsDescribedHasTheFieldsOfGetAndThoseOfItsTables) {
  v1::Object service = MakeService("web", 0, 1);
  service.mutable_service()
      ->mutable_metadata()
      ->mutable_create_time()
      ->set_seconds(1893456000);
  v1::Condition& condition =
      *service.mutable_service()->mutable_status()->add_conditions();
  condition.set_type("ImageResolved");
  condition.set_status(v1::Condition::FALSE);
  condition.set_reason("ImageNotFound");
  condition.set_message("nginx:1.27 is in no registry");
  service.mutable_service()
      ->mutable_spec()
      ->mutable_autoscale()
      ->set_max_replicas(4);
  server_.Put(service);
  v1::Object replica = MakeReplica("web", 0);
  replica.mutable_replica()->mutable_spec()->set_attempt(2);
  replica.mutable_replica()->mutable_status()->set_state(
      v1::ReplicaStatus::FAILED);
  replica.mutable_replica()->mutable_status()->set_reason("Exited");
  replica.mutable_replica()->mutable_status()->set_message("with 3");
  server_.Put(replica);
  for (int second = 25; second > 0; --second) {
    server_.Put(MakeEvent("service", "web", second));
  }

  EXPECT_EQ(Ctl({"describe", "service", "web", "-o", "json"}), kExitOk) << err_;
  nlohmann::json json = Read(out_);
  EXPECT_EQ(json["state"], "ImageNotFound");
  EXPECT_EQ(json["message"], "nginx:1.27 is in no registry");
  EXPECT_EQ(json["metadata"]["createTime"], "2030-01-01T00:00:00Z");
  EXPECT_FALSE(json.contains("scale"));
  ASSERT_EQ(json["replicas"].size(), 1u);
  EXPECT_EQ(json["replicas"][0]["metadata"]["name"], "web-0-abcde");
  EXPECT_EQ(json["replicas"][0]["state"], "failed");
  EXPECT_EQ(json["replicas"][0]["message"], "Exited: with 3");
  EXPECT_EQ(json["replicas"][0]["restarts"], 2);
  // As many as the text has.
  ASSERT_EQ(json["events"].size(), 20u);
  EXPECT_EQ(json["events"][0]["lastTime"], "2030-01-01T00:00:06Z");
  EXPECT_EQ(json["events"][19]["reason"], "Applied");

  // Beside these it is what get has.
  for (const char* key : {"state", "message", "replicas", "events"}) {
    json.erase(key);
  }
  EXPECT_EQ(Ctl({"get", "service", "web", "-o", "json"}), kExitOk) << err_;
  EXPECT_EQ(json, Read(out_));

  v1::Object scale;
  scale.mutable_scale()->mutable_metadata()->set_name("web");
  scale.mutable_scale()->set_recommended(6);
  server_.Put(scale);
  EXPECT_EQ(Ctl({"describe", "service", "web", "-o", "json"}), kExitOk) << err_;
  EXPECT_EQ(Read(out_)["scale"]["recommended"], 6);
}

TEST_F(OutputTest, ADescriptionHasTheListsOfItsKind) {
  v1::Object nightly;
  nightly.mutable_cron_job()->mutable_metadata()->set_name("nightly");
  nightly.mutable_cron_job()->mutable_metadata()->set_uid("u1");
  server_.Put(nightly);
  v1::Object run;
  run.mutable_job()->mutable_metadata()->set_name("nightly-1");
  run.mutable_job()->mutable_metadata()->mutable_owner()->set_uid("u1");
  run.mutable_job()->mutable_status()->set_active(1);
  server_.Put(run);
  EXPECT_EQ(Ctl({"describe", "cron-job", "nightly", "-o", "json"}), kExitOk)
      << err_;
  nlohmann::json json = Read(out_);
  ASSERT_EQ(json["jobs"].size(), 1u);
  EXPECT_EQ(json["jobs"][0]["metadata"]["name"], "nightly-1");
  EXPECT_EQ(json["jobs"][0]["state"], "Running");
  EXPECT_EQ(json["events"], nlohmann::json::array());

  EXPECT_EQ(Ctl({"describe", "job", "import", "-o", "json"}), kExitOk) << err_;
  json = Read(out_);
  EXPECT_EQ(json["state"], "Pending");
  EXPECT_EQ(json["replicas"], nlohmann::json::array());

  server_.Put(MakeEvent("volume", "data", 1));
  EXPECT_EQ(Ctl({"describe", "volume", "data", "-o", "json"}), kExitOk) << err_;
  json = Read(out_);
  EXPECT_EQ(json["status"]["path"], "/srv/data");
  EXPECT_EQ(json["events"].size(), 1u);
  EXPECT_FALSE(json.contains("replicas"));

  EXPECT_EQ(Ctl({"describe", "event", "data-1", "-o", "json"}), kExitOk)
      << err_;
  EXPECT_FALSE(Read(out_).contains("events"));
}

TEST_F(OutputTest, SeveralDescriptionsAreAnArrayAndDocuments) {
  EXPECT_EQ(Ctl({"describe", "volumes", "-o", "json"}), kExitOk) << err_;
  nlohmann::json json = Read(out_);
  ASSERT_EQ(json.size(), 1u);
  EXPECT_EQ(json[0]["kind"], "Volume");
  EXPECT_EQ(Ctl({"describe", "volume/data", "job/import", "-o", "json"}),
            kExitOk)
      << err_;
  ASSERT_EQ(Read(out_).size(), 2u);
  EXPECT_EQ(Ctl({"describe", "volume/data", "job/import", "-o", "yaml"}),
            kExitOk)
      << err_;
  EXPECT_THAT(out_, AllOf(StartsWith("apiVersion: "),
                          HasSubstr("events: []\n---\napiVersion: "),
                          HasSubstr("\nstate: Pending\n")));
  // What is not there leaves no half of an answer.
  EXPECT_EQ(Ctl({"describe", "volume/data", "job/none", "-o", "json"}),
            kExitError);
  EXPECT_EQ(out_, "");
  EXPECT_EQ(Ctl({"describe", "networks", "-o", "json"}), kExitOk) << err_;
  EXPECT_EQ(out_, "[]\n");
}

TEST_F(OutputTest, TheHistoryOfRevisionsHasWhatItsTableHas) {
  server_.Put(MakeService("web", 1, 1));
  for (int number : {10, 3, 9, 8}) {
    v1::Object object;
    v1::Revision& revision = *object.mutable_revision();
    revision.mutable_metadata()->set_name(absl::StrCat("web-", number));
    revision.mutable_metadata()->mutable_create_time()->set_seconds(1893456000);
    revision.set_service("web");
    revision.set_number(number);
    revision.set_good(number == 9);
    if (number == 10) revision.set_failure("it was not ready");
    revision.mutable_actor()->set_name("root");
    revision.mutable_template_()->add_containers()->set_image("i:1");
    revision.mutable_template_()->add_containers()->set_image("j:2");
    server_.Put(object);
  }
  EXPECT_EQ(Ctl({"rollout", "history", "web", "-o", "json"}), kExitOk) << err_;
  const nlohmann::json json = Read(out_);
  EXPECT_EQ(json["service"], "web");
  EXPECT_EQ(json["revision"], 3);
  std::vector<std::string> states;
  for (const nlohmann::json& revision : json["revisions"]) {
    states.push_back(absl::StrCat(revision["number"].get<int>(), " ",
                                  revision["state"].get<std::string>()));
  }
  EXPECT_THAT(states, ElementsAre("3 current", "8 ", "9 good", "10 failed"));
  EXPECT_EQ(json["revisions"][3], nlohmann::json::parse(R"({
      "number": 10, "state": "failed", "images": ["i:1", "j:2"], "by": "root",
      "createTime": "2030-01-01T00:00:00Z", "failure": "it was not ready"})"));
  EXPECT_EQ(Ctl({"rollout", "history", "web", "-o", "yaml"}), kExitOk) << err_;
  EXPECT_THAT(out_, StartsWith("service: web\nrevision: 3\nrevisions:\n"));
}

TEST_F(OutputTest, WhenTheFormIsUnknown_NothingIsAskedFor) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"secret", "list"},
                                             {"secret", "history", "none"},
                                             {"secret", "status"},
                                             {"audit", "verify"},
                                             {"volume", "list"},
                                             {"volume", "describe", "none"},
                                             {"volume", "snapshots", "none"},
                                             {"volume", "backups", "none"},
                                             {"job", "list"},
                                             {"job", "describe", "none"},
                                             {"describe", "job", "none"},
                                             {"rollout", "history", "none"}}) {
    std::vector<std::string> all = words;
    all.insert(all.end(), {"-o", "xml"});
    EXPECT_EQ(Ctl(all), kExitUsage) << all[0] << all[1];
    EXPECT_THAT(err_, StartsWith("error: -o xml: "));
  }
}

}  // namespace
}  // namespace bulwark::ctl::testing
