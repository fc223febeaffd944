// Rules between objects, and what is not served.
#include "api/plan.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "api/errors.h"
#include "api/testing/plan_fixture.h"
#include "api/unserved.h"
#include "base/testing/status_matchers.h"
#include "store/objects.h"

namespace bulwark::api {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;

TEST_F(PlanTest, WhenAHostPortIsTaken_TheHolderIsNamed) {
  Store(Service("shop", "ports { container_port: 80 host_port: 8080 }"));
  const v1::Object other =
      Service("web", "ports { container_port: 90 host_port: 8080 }");

  EXPECT_THAT(Plan({other}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("host port 8080 belongs to service shop")));
  // Its own port is no conflict, nor one that the same apply frees.
  EXPECT_OK(Plan({Service("shop",
                          "replicas: 2 ports { container_port: 80 "
                          "host_port: 8080 }")}));
  EXPECT_OK(Plan({Service("shop"), other}));
}

TEST_F(PlanTest, WhenTwoOfOneRequestWantAPort_TheLaterIsTold) {
  const char* ports = "ports { container_port: 80 host_port: 8080 }";

  const auto plan = Plan({Service("a", ports), Service("b", ports)});

  const auto detail = DetailOf(plan.status());
  ASSERT_TRUE(detail.has_value());
  ASSERT_EQ(detail->violations_size(), 1);
  EXPECT_EQ(detail->violations(0).object(), 1);
  EXPECT_EQ(detail->violations(0).field(), "spec.ports[0].hostPort");
}

TEST_F(PlanTest, WhenADependencyIsUnknown_ItIsNamed) {
  EXPECT_THAT(Plan({Service("web", "depends_on { service: 'db' }")}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("there is no service \"db\"")));
  EXPECT_OK(
      Plan({Service("web", "depends_on { service: 'db' }"), Service("db")}));
}

TEST_F(PlanTest, WhenDependenciesGoInACircle_TheCircleIsPrinted) {
  Store(Service("c"));
  Store(Service("b", "depends_on { service: 'c' }"));
  Store(Service("a", "depends_on { service: 'b' }"));

  EXPECT_THAT(
      Plan({Service("c", "depends_on { service: 'a' }")}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("a → b → c → a")));
  EXPECT_THAT(Plan({Service("d", "depends_on { service: 'd' }")}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("d → d")));
}

TEST_F(PlanTest, WhenTwoCirclesExist_BothAreReported) {
  const auto plan = Plan({Service("a", "depends_on { service: 'b' }"),
                          Service("b", "depends_on { service: 'a' }"),
                          Service("c", "depends_on { service: 'c' }")});

  ASSERT_TRUE(DetailOf(plan.status()).has_value());
  EXPECT_EQ(DetailOf(plan.status())->violations_size(), 2);
}

TEST_F(PlanTest, WhenTheNetworkIsUnknown_ItIsNamed) {
  EXPECT_THAT(Plan({Service("web", "network: 'back'")}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("there is no network back")));
}

TEST_F(PlanTest, WhenSubnetsOverlap_TheOtherNetworkIsNamed) {
  Store(
      Parse("network { metadata { name: 'a' } spec { subnet: "
            "'10.20.0.0/16' } }"));
  // What a network was given counts as what it asked for.
  v1::Object given = Parse("network { metadata { name: 'b' project: 'p' } }");
  Store(given);
  for (auto& [key, object] : stored_.objects) {
    if (key.name == "b") {
      object.mutable_network()->mutable_status()->set_subnet("10.210.1.0/24");
    }
  }
  const auto network = [](const std::string& subnet) {
    return Parse("network { metadata { name: 'c' } spec { subnet: '" + subnet +
                 "' } }");
  };

  EXPECT_THAT(Plan({network("10.20.3.0/24")}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("overlaps 10.20.0.0/16 of network a")));
  EXPECT_THAT(Plan({network("10.210.0.0/16")}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("of network p/b")));
  EXPECT_OK(Plan({network("10.30.0.0/16")}));
}

TEST_F(PlanTest, WhenAnImmutableFieldChanges_BothValuesAreShown) {
  Store(
      Parse("network { metadata { name: 'a' } spec { subnet: "
            "'10.20.0.0/16' } }"));

  const auto plan = Plan({Parse(
      "network { metadata { name: 'a' } spec { subnet: '10.30.0.0/16' } }")});

  EXPECT_THAT(plan,
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("spec.subnet: cannot change from "
                                 "\"10.20.0.0/16\" to \"10.30.0.0/16\"")));
}

TEST_F(PlanTest, WhenAKindIsDerived_ApplyAndDeleteAreRefused) {
  for (const char* text : {"replica { metadata { name: 'x' } }",
                           "event { metadata { name: 'x' } }",
                           "revision { metadata { name: 'x' } }",
                           "node { metadata { name: 'x' } }"}) {
    EXPECT_THAT(Plan({Parse(text)}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("made by bulwarkd")));
  }
  EXPECT_THAT(Plan({v1::Object()}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Remove("replica", "x"),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(PlanTest, WhenAnObjectIsDeclaredTwice_ItIsRefused) {
  EXPECT_THAT(Plan({Service("a"), Service("a", "replicas: 2")}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("declared twice")));
}

TEST_F(PlanTest, WhenAVolumeIsUsedOrProtected_DeleteIsRefused) {
  Store(Parse("volume { metadata { name: 'data' } }"));
  Store(Parse("volume { metadata { name: 'web-own-3' } }"));
  Store(Parse("volume { metadata { name: 'web-own-x' } }"));
  Store(Parse("volume { metadata { name: 'safe' } spec { protect: true } }"));
  Store(
      Parse("service { metadata { name: 'web' } spec { containers { image: "
            "'a:1' volumes { volume: 'data' path: '/d' } volumes { volume: "
            "'own' path: '/o' per_replica: true } } } }"));

  EXPECT_THAT(Remove("volume", "data"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("volume data is used by service web")));
  EXPECT_THAT(Remove("volume", "web-own-3"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(Remove("volume", "safe"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("is protected")));
  EXPECT_OK(Remove("volume", "web-own-x"));
}

TEST_F(PlanTest, WhenAVolumesSizeCannotBe_SaysWhy) {
  const std::pair<const char*, const char*> kWrong[] = {
      {"driver: IMAGE", "is required by the driver image"},
      {"driver: IMAGE size: 1000", "less than 16Mi"},
      {"driver: IMAGE size: 20000000000000", "more than 16Ti"},
      {"driver: LOCAL size: 100000000", "which has no quota"},
      {"driver: TMPFS size: 100", "less than 4Ki"},
      {"driver: TMPFS size: -1", "size"},
  };
  for (const auto& [spec, message] : kWrong) {
    EXPECT_THAT(
        Plan({Parse(absl::StrCat("volume { metadata { name: 'v' } "
                                 "spec { ",
                                 spec, " } }"))}),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)))
        << spec;
  }
  Store(
      Parse("volume { metadata { name: 'v' } spec { driver: IMAGE size: "
            "40000000 } }"));
  EXPECT_THAT(Plan({Parse("volume { metadata { name: 'v' } spec { driver: "
                          "IMAGE size: 30000000 } }")}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("a volume only grows")));
  EXPECT_OK(
      Plan({Parse("volume { metadata { name: 'v' } spec { driver: IMAGE "
                  "size: 50000000 } }")}));
}

TEST_F(PlanTest, WhenAVolumeIsForOneWriter_ItHasOne) {
  Store(
      Parse("volume { metadata { name: 'd' } spec { access: SINGLE_WRITER } "
            "}"));
  auto service = [&](const std::string& name, const std::string& more) {
    return Parse(absl::StrCat(
        "service { metadata { name: '", name,
        "' } spec { containers { image: 'a:1' volumes { volume: 'd' path: "
        "'/d' } } ",
        more, " } }"));
  };
  EXPECT_OK(Plan({service("one", "")}));
  EXPECT_THAT(Plan({service("one", "replicas: 2")}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("spec.replicas: volume d is for one writer")));
  EXPECT_THAT(Plan({service("one", ""), service("two", "")}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("service one mounts it")));
  EXPECT_OK(Plan({Parse(
      "service { metadata { name: 'slots' } spec { replicas: 3 containers { "
      "image: 'a:1' volumes { volume: 'd' path: '/d' per_replica: true } } } "
      "}")}));
  Store(Parse("volume { metadata { name: 'e' } }"));
  for (const char* name : {"x", "y"}) {
    Store(Parse(absl::StrCat(
        "service { metadata { name: '", name,
        "' } spec { containers { image: 'a:1' volumes { volume: 'e' path: "
        "'/e' } } } }")));
  }
  EXPECT_THAT(Plan({Parse("volume { metadata { name: 'e' } spec { access: "
                          "SINGLE_WRITER } }")}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("service x and service y mount it")));
}

TEST_F(PlanTest, WhenAVolumeIsBeingDeleted_NoServiceMayUseIt) {
  Store(Parse("volume { metadata { name: 'data' } }"));
  stored_.objects.begin()
      ->second.mutable_volume()
      ->mutable_metadata()
      ->mutable_delete_time()
      ->set_seconds(1);

  EXPECT_THAT(
      Plan({Parse("service { metadata { name: 'web' } spec { containers { "
                  "image: 'a:1' volumes { volume: 'data' path: '/d' } } } }")}),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               HasSubstr("spec.containers[0].volumes[0].volume: volume data "
                         "is being deleted")));
}

TEST_F(PlanTest, WhenAProjectIsNotEmpty_DeleteIsRefused) {
  Store(Parse("project { metadata { name: 'shop' } }"));
  Store(Parse("volume { metadata { name: 'v' project: 'shop' } }"));

  EXPECT_THAT(Remove("project", "shop"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("volume shop/v")));
}

TEST_F(PlanTest, WhenPrunedObjectsAreUsed_ApplyIsRefused) {
  Store(
      Parse("network { metadata { name: 'n' labels { key: 'a' value: 'b' } } "
            "}"));
  Store(Service("web", "network: 'n'"));
  v1::ApplyRequest request;
  (*request.mutable_prune_labels())["a"] = "b";

  EXPECT_THAT(Plan(request), StatusIs(absl::StatusCode::kFailedPrecondition,
                                      HasSubstr("used by service web")));
}

TEST_F(PlanTest, WhenListening_WarningsSayWhatIsUnexpected) {
  const auto plan =
      Plan({Parse("service { metadata { name: 'w' } spec { containers { image: "
                  "'r:5000/a' profile: PRIVILEGED } ports { container_port: 80 "
                  "host_port: 8080 } ports { container_port: 81 host_port: 81 "
                  "listen: LOCALHOST } } }")});

  ASSERT_OK(plan);
  const auto& warnings = plan->response.results(0).warnings();
  ASSERT_EQ(warnings.size(), 4);
  EXPECT_EQ(warnings[0],
            "port 8080 listens on localhost only; add `listen: all` to reach "
            "it from other hosts");
  EXPECT_THAT(warnings[1], HasSubstr("no fixed tag"));
  EXPECT_THAT(warnings[2], HasSubstr("no memory limit"));
  EXPECT_THAT(warnings[3], HasSubstr("privileged"));
}

TEST_F(PlanTest, WhenAFileSystemInMemoryIsLargerThanTheHosts_Warns) {
  const auto warnings = [&](const std::string& text) {
    const auto plan = Plan({Parse(text)});
    if (!plan.ok()) return std::string(plan.status().message());
    return absl::StrJoin(plan->response.results(0).warnings(), "\n");
  };
  const auto volume = [](const std::string& spec) {
    return absl::StrCat("volume { metadata { name: 'v' } spec { ", spec, "} }");
  };
  const auto mounted = [](const std::string& kind, const std::string& more) {
    return absl::StrCat(
        kind, " { metadata { name: 'w' } spec { ", more,
        " containers { image: 'a:1' resources { memory { limit: 8388608 } } ");
  };
  const std::string large = volume("driver: TMPFS size: 2147483648");
  EXPECT_EQ(warnings(large), "");  // the host's is not known
  host_memory_ = int64_t{2} << 30;
  EXPECT_EQ(warnings(large), "");
  --host_memory_;
  EXPECT_EQ(warnings(large),
            "it holds up to 2Gi, more than the host's memory, which is 2047Mi; "
            "give a size that leaves room for others");
  EXPECT_EQ(warnings(volume("driver: TMPFS")), "");
  EXPECT_EQ(warnings(volume("driver: IMAGE size: 1099511627776")), "");
  const std::string tmpfs = "tmpfs { path: '/run' size: 1099511627776 } } } }";
  for (const std::string& begin :
       {mounted("service", ""), mounted("job", ""),
        mounted("cron_job", "schedule: '@daily' job {")}) {
    const bool cron = absl::StartsWith(begin, "cron_job");
    EXPECT_THAT(warnings(begin + tmpfs + (cron ? "}" : "")),
                HasSubstr("tmpfs /run of container w holds up to 1Ti, more "
                          "than the host's memory"));
  }
  EXPECT_THAT(
      warnings(mounted("service", "") + "shm_size: 1099511627776 } } }"),
      HasSubstr("/dev/shm of container w holds up to 1Ti"));
}

// A job's images are settled once, and a cron job's by each run.
TEST_F(PlanTest, WhenAppliedAgain_AServiceWithPullAlwaysAloneAsksForImages) {
  const auto asks = [&](const std::string& begin, const std::string& image) {
    const v1::Object object =
        Parse(begin + " containers { image: 'a" + image + " } } }");
    Store(object);
    auto again = Plan({object});
    return !again.ok() || !again->batch.empty();
  };
  const std::string service = "service { metadata { name: 'w' } spec {";
  EXPECT_FALSE(asks(service, ":1'"));
  EXPECT_FALSE(asks(service, ":1' pull: DAILY"));
  const std::string pinned = "@sha256:" + std::string(64, 'a');
  EXPECT_FALSE(asks(service, pinned + "' pull: ALWAYS"));
  EXPECT_TRUE(asks(service, ":1' pull: ALWAYS"));
  EXPECT_FALSE(asks("job { metadata { name: 'j' } spec {", ":1' pull: ALWAYS"));
  const std::string cron =
      "cron_job { metadata { name: 'c' } spec { schedule: ";
  EXPECT_FALSE(asks(cron + "'@daily' job {", ":1' pull: ALWAYS }"));
}

TEST_F(PlanTest, WhenAJobHasBegun_OnlyItsNumbersMayChange) {
  const std::string job =
      "job { metadata { name: 'j' } spec { containers { image: 'a:1' } ";
  v1::Object begun = Parse(job + "} }");
  ASSERT_OK_AND_ASSIGN(const ApplyPlan first, Plan({begun}));
  begun = first.response.results(0).object();
  StoreAsIs(begun);
  // Nothing has been made of it yet.
  EXPECT_OK(Plan({Parse(job + "completions: 3 } }")}));
  v1::Condition& resolved =
      *begun.mutable_job()->mutable_status()->add_conditions();
  resolved.set_type("ImageResolved");
  resolved.set_status(v1::Condition::TRUE);
  StoreAsIs(begun);

  EXPECT_OK(Plan({Parse(job + "parallelism: 3 suspend: true } }")}));
  EXPECT_OK(Plan(
      {Parse("job { metadata { name: 'j' } spec { containers { image: 'a:1' "
             "resources { memory { limit: 8388608 } } } } }")}));
  EXPECT_THAT(Plan({Parse(job + "completions: 3 } }")}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("spec.completions: cannot change")));
  EXPECT_THAT(Plan({Parse("job { metadata { name: 'j' } spec { containers { "
                          "image: 'a:2' } } }")}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("what the executions are made of")));
}

TEST_F(PlanTest, WhenJobsAndServicesDependOnEachOther_TheCircleIsNamed) {
  EXPECT_THAT(
      Plan({Parse("service { metadata { name: 'db' } spec { containers { "
                  "image: 'a:1' } depends_on { service: 'seed' condition: "
                  "COMPLETED } } }"),
            Parse("job { metadata { name: 'seed' } spec { containers { image: "
                  "'a:1' } depends_on { service: 'db' } } }")}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("depends on itself: job seed")));
}

TEST_F(PlanTest, WhenADependencyIsOfTheOtherKind_TheConditionIsAdvised) {
  Store(Service("db"));
  const auto plan =
      Plan({Parse("job { metadata { name: 'j' } spec { containers { image: "
                  "'a:1' } depends_on { service: 'db' condition: COMPLETED } } "
                  "}")});
  EXPECT_THAT(plan, StatusIs(absl::StatusCode::kFailedPrecondition,
                             HasSubstr("there is no job \"db\"")));
  ASSERT_TRUE(DetailOf(plan.status()).has_value());
  EXPECT_EQ(DetailOf(plan.status())->violations(0).remedy(),
            "wait for a service with started or healthy");
}

TEST_F(PlanTest, WhenPruned_JobsOfCronJobsStay) {
  v1::Object job = Parse(
      "job { metadata { name: 'c-1' labels { key: 'a' value: 'b' } owner { "
      "kind: 'cron-job' name: 'c' } } spec { containers { image: 'a:1' } } }");
  StoreAsIs(job);
  v1::ApplyRequest request;
  (*request.mutable_prune_labels())["a"] = "b";
  ASSERT_OK_AND_ASSIGN(const ApplyPlan plan, Plan(request));
  EXPECT_TRUE(plan.response.results().empty());
}

// Objects that use each row of the table, by its path and value.
TEST_F(PlanTest, WhenAFeatureIsNotServed_ItIsRefusedPlainly) {
  const std::pair<const char*, const char*> uses[] = {
      {"network_policy", "network_policy { metadata { name: 'x' } spec { } }"},
      {"service.spec.ports.protocol",
       "service { metadata { name: 'x' } spec { containers { image: 'a:1' } "
       "ports { container_port: 53 protocol: UDP } } }"},
      {"network.spec.internal",
       "network { metadata { name: 'x' } spec { internal: true } }"},
  };
  Store(Service("db"));
  std::set<std::string> covered;
  for (const auto& [path, text] : uses) {
    covered.insert(path);
    EXPECT_THAT(Plan({Parse(text)}),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         HasSubstr("this version of bulwarkd does not run")))
        << path;
  }
  for (const Unserved& row : UnservedFeatures()) {
    EXPECT_EQ(covered.count(std::string(row.path)), 1)
        << row.path << " has no case here";
  }
}

}  // namespace
}  // namespace bulwark::api
