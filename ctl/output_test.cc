// -o of commands about secrets, volumes, jobs and the audit log.
#include "ctl/testing/fixture.h"

namespace bulwark::ctl::testing {
namespace {

using ::testing::AllOf;
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
                                             {"job", "describe", "none"}}) {
    std::vector<std::string> all = words;
    all.insert(all.end(), {"-o", "xml"});
    EXPECT_EQ(Ctl(all), kExitUsage) << all[0] << all[1];
    EXPECT_THAT(err_, StartsWith("error: -o xml: "));
  }
}

}  // namespace
}  // namespace bulwark::ctl::testing
