#include "api/defaulting.h"

#include <gtest/gtest.h>

#include "google/protobuf/text_format.h"
#include "google/protobuf/util/message_differencer.h"

namespace bulwark::api {
namespace {

using google::protobuf::TextFormat;
using google::protobuf::util::MessageDifferencer;

struct Case {
  const char* name;
  const char* written;
  const char* defaulted;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

#define SERVICE_DEFAULTS                                            \
  "stop { timeout { seconds: 30 } } load_balancer { algorithm: "    \
  "LEAST_CONNECTIONS drain_timeout { seconds: 30 } hold_timeout { " \
  "seconds: 30 } } restart { policy: ALWAYS } network: 'default' "
#define ROLLOUT_DEFAULTS                                \
  "strategy: ROLLING min_healthy_time { seconds: 10 } " \
  "progress_deadline { seconds: 600 } auto_rollback: true history: 10 "
#define CONTAINER_DEFAULTS \
  "resources { pids: 512 } pull: MISSING profile: BASELINE "
#define PROBE_DEFAULTS \
  "period { seconds: 10 } timeout { seconds: 1 } success: 1 failure: 3 "

const Case kCases[] = {
    {"ShortestService",
     "service { metadata { name: 'web' } spec { containers { image: 'a' } } }",
     "service { metadata { name: 'web' project: 'default' } spec { replicas: 1 "
     "containers { name: 'web' image: 'a' " CONTAINER_DEFAULTS "} "
     "rollout { max_surge: 1 max_unavailable: 0 " ROLLOUT_DEFAULTS
     "} " SERVICE_DEFAULTS "} }"},
    {"WhatIsWrittenStays",
     "service { metadata { name: 'web' project: 'p' } spec { replicas: 0 "
     "containers { name: 'c' image: 'a' resources { pids: 7 } pull: NEVER "
     "profile: PRIVILEGED } rollout { strategy: RECREATE max_surge: 0 "
     "max_unavailable: 2 min_healthy_time { seconds: 1 } progress_deadline { "
     "seconds: 9 } auto_rollback: false history: 3 } stop { signal: 'SIGQUIT' "
     "timeout { } } load_balancer { algorithm: ROUND_ROBIN drain_timeout { "
     "seconds: 1 } hold_timeout { } } restart { policy: NEVER } network: 'n' "
     "} }",
     "service { metadata { name: 'web' project: 'p' } spec { replicas: 0 "
     "containers { name: 'c' image: 'a' resources { pids: 7 } pull: NEVER "
     "profile: PRIVILEGED } rollout { strategy: RECREATE max_surge: 0 "
     "max_unavailable: 2 min_healthy_time { seconds: 1 } progress_deadline { "
     "seconds: 9 } auto_rollback: false history: 3 } stop { signal: 'SIGQUIT' "
     "timeout { } } load_balancer { algorithm: ROUND_ROBIN drain_timeout { "
     "seconds: 1 } hold_timeout { } } restart { policy: NEVER } network: 'n' "
     "} }"},
    {"Ports",
     "service { metadata { name: 'web' } spec { ports { container_port: 80 "
     "host_port: 8080 } ports { container_port: 9000 port: 90 } } }",
     "service { metadata { name: 'web' project: 'default' } spec { replicas: 1 "
     "ports { name: 'http' container_port: 80 port: 80 host_port: 8080 listen: "
     "LOCALHOST protocol: TCP } ports { name: 'port-9000' container_port: 9000 "
     "port: 90 listen: INTERNAL protocol: TCP } "
     "rollout { max_surge: 1 max_unavailable: 0 " ROLLOUT_DEFAULTS
     "} " SERVICE_DEFAULTS "} }"},
    {"HealthBecomesReadiness",
     "service { metadata { name: 'web' } spec { containers { image: 'a' health "
     "{ http { } } liveness { tcp { } period { seconds: 2 } } } ports { "
     "container_port: 80 name: 'p' port: 1 listen: ALL protocol: UDP } } }",
     "service { metadata { name: 'web' project: 'default' } spec { replicas: 1 "
     "containers { name: 'web' image: 'a' readiness { http { port: 80 path: "
     "'/' } " PROBE_DEFAULTS "} liveness { tcp { port: 80 } period { seconds: "
     "2 } timeout { seconds: 1 } success: 1 failure: 3 } " CONTAINER_DEFAULTS
     "} ports { container_port: 80 name: 'p' port: 1 listen: ALL protocol: UDP "
     "} rollout { max_surge: 1 max_unavailable: 0 " ROLLOUT_DEFAULTS
     "} " SERVICE_DEFAULTS "} }"},
    {"VolumePerReplicaForbidsSurge",
     "service { metadata { name: 'db' } spec { containers { image: 'a' volumes "
     "{ volume: 'd' path: '/d' per_replica: true } } depends_on { service: 'x' "
     "} autoscale { max_replicas: 3 } } }",
     "service { metadata { name: 'db' project: 'default' } spec { replicas: 1 "
     "containers { name: 'db' image: 'a' volumes { volume: 'd' path: '/d' "
     "per_replica: true } " CONTAINER_DEFAULTS "} depends_on { service: 'x' "
     "condition: HEALTHY } autoscale { min_replicas: 1 max_replicas: 3 } "
     "rollout { max_surge: 0 max_unavailable: 1 " ROLLOUT_DEFAULTS
     "} " SERVICE_DEFAULTS "} }"},
    {"SecretsAndConfigs",
     "service { metadata { name: 'w' } spec { sidecars { image: 'a' secrets { "
     "name: 's' } configs { name: 'c' path: '/c' } } } }",
     "service { metadata { name: 'w' project: 'default' } spec { replicas: 1 "
     "sidecars { name: 'w' image: 'a' secrets { name: 's' path: "
     "'/run/secrets/s' mode: 256 } configs { name: 'c' path: '/c' mode: 292 "
     "} " CONTAINER_DEFAULTS
     "} rollout { max_surge: 1 max_unavailable: 0 " ROLLOUT_DEFAULTS
     "} " SERVICE_DEFAULTS "} }"},
    {"Job", "job { metadata { name: 'j' } spec { containers { image: 'a' } } }",
     "job { metadata { name: 'j' project: 'default' } spec { containers { "
     "name: "
     "'j' image: 'a' " CONTAINER_DEFAULTS "} completions: 1 parallelism: 1 "
     "backoff_limit: 6 network: 'default' stop { timeout { seconds: 30 } } } "
     "}"},
    {"CronJob",
     "cron_job { metadata { name: 'j' } spec { schedule: '* * * * *' } }",
     "cron_job { metadata { name: 'j' project: 'default' } spec { schedule: '* "
     "* * * *' time_zone: 'UTC' concurrency: ALLOW successful_history: 3 "
     "failed_history: 1 job { completions: 1 parallelism: 1 backoff_limit: 6 "
     "network: 'default' stop { timeout { seconds: 30 } } } } }"},
    {"Volume", "volume { metadata { name: 'v' } }",
     "volume { metadata { name: 'v' project: 'default' } spec { driver: LOCAL "
     "access: SHARED } }"},
    {"VolumeInMemory",
     "volume { metadata { name: 'v' } spec { driver: TMPFS } }",
     "volume { metadata { name: 'v' project: 'default' } spec { driver: TMPFS "
     "size: 67108864 access: SHARED } }"},
    {"Network", "network { metadata { name: 'n' } }",
     "network { metadata { name: 'n' project: 'default' } spec { } }"},
    {"Project", "project { metadata { name: 'p' } }",
     "project { metadata { name: 'p' project: 'default' } spec { } }"},
    {"Secret", "secret { metadata { name: 's' } }",
     "secret { metadata { name: 's' project: 'default' } spec { } }"},
    {"Config", "config { metadata { name: 'c' } }",
     "config { metadata { name: 'c' project: 'default' } spec { } }"},
};

class DefaultingTest : public ::testing::TestWithParam<Case> {};

TEST_P(DefaultingTest, WhenDefaulted_TheFullFormComes) {
  v1::Object object, expected;
  ASSERT_TRUE(TextFormat::ParseFromString(GetParam().written, &object));
  ASSERT_TRUE(TextFormat::ParseFromString(GetParam().defaulted, &expected));

  SetDefaults(object);

  std::string difference;
  MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&difference);
  EXPECT_TRUE(differencer.Compare(expected, object)) << difference;
}

TEST_P(DefaultingTest, WhenDefaultedTwice_NothingChanges) {
  v1::Object once;
  ASSERT_TRUE(TextFormat::ParseFromString(GetParam().written, &once));
  SetDefaults(once);
  v1::Object twice = once;

  SetDefaults(twice);

  EXPECT_TRUE(MessageDifferencer::Equals(once, twice));
}

INSTANTIATE_TEST_SUITE_P(Kinds, DefaultingTest, ::testing::ValuesIn(kCases),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

}  // namespace
}  // namespace bulwark::api
