#include "manifest/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace bulwark::manifest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

ParseOptions Options() { return {.file = "web.yaml"}; }

std::vector<std::string> Problems(absl::string_view text) {
  std::vector<std::string> out;
  for (const Problem& problem : Parse(text, Options()).problems) {
    out.push_back(problem.ToString());
  }
  return out;
}

v1::Service Service(absl::string_view text) {
  ParseResult result = Parse(text, Options());
  EXPECT_EQ(ToString(result.problems), "");
  if (result.objects.size() != 1) return {};
  return result.objects[0].object.service();
}

TEST(CodecTest, WhenShortest_ExpandsToTheFullForm) {
  v1::Service web = Service(R"(
kind: Service
name: web
image: nginx:1.27
replicas: 3
ports: ["8080:80"]
)");
  EXPECT_EQ(web.metadata().name(), "web");
  EXPECT_EQ(web.spec().replicas(), 3);
  ASSERT_EQ(web.spec().containers_size(), 1);
  EXPECT_EQ(web.spec().containers(0).name(), "web");
  EXPECT_EQ(web.spec().containers(0).image(), "nginx:1.27");
  ASSERT_EQ(web.spec().ports_size(), 1);
  EXPECT_EQ(web.spec().ports(0).host_port(), 8080);
  EXPECT_EQ(web.spec().ports(0).container_port(), 80);
}

TEST(CodecTest, WhenContainerIsGivenThings_ReadsShortAndLongForms) {
  const v1::Container c = Service(R"(
kind: Service
name: web
image: nginx
devices: [/dev/fuse, {hostPath: /dev/sdb, access: r}]
ulimits: {nofile: "4096:8192", core: 0, memlock: {soft: -1}}
tmpfs: ["/run:size=16Mi,mode=0755", {path: /tmp}]
shmSize: 256Mi
hostname: box
extraHosts: {db.example: 10.1.2.3, host: host-gateway}
sysctls: {net.core.somaxconn: 1024}
log: json-file
)")
                              .spec()
                              .containers(0);
  EXPECT_EQ(c.devices(0).host_path(), "/dev/fuse");
  EXPECT_EQ(c.devices(1).access(), "r");
  ASSERT_EQ(c.ulimits_size(), 3);
  EXPECT_EQ(c.ulimits(0).ShortDebugString(),
            "name: \"nofile\" soft: 4096 hard: 8192");
  EXPECT_EQ(c.ulimits(1).ShortDebugString(), "name: \"core\"");
  EXPECT_EQ(c.ulimits(2).ShortDebugString(), "name: \"memlock\" soft: -1");
  EXPECT_EQ(c.tmpfs(0).mode(), 0755u);
  EXPECT_EQ(c.tmpfs(1).path(), "/tmp");
  EXPECT_EQ(c.shm_size(), 256 << 20);
  EXPECT_EQ(c.extra_hosts(1).address(), "host-gateway");
  EXPECT_EQ(c.sysctls(0).value(), "1024");
  EXPECT_EQ(c.log().driver(), v1::Logging::JSON_FILE);
}

TEST(CodecTest, WhenFullForm_ReadsEveryFormat) {
  v1::Service web = Service(R"(
apiVersion: bulwark/v1
kind: Service
metadata: {name: shop, project: default, labels: {tier: web, n: 1}}
spec:
  containers:
    - name: web
      image: shop:1.4
      env: {MODE: production, PORT: 8080, EMPTY: ""}
      resources: {cpu: {request: 100m, limit: 0.5}, memory: 256Mi, pids: 9}
      health: {http: ":80/healthz", period: 2s}
      secrets: [db-password, {name: key, mode: 0400}]
      volumes: ["uploads:/var/lib/uploads", "./conf:/etc/app:ro"]
  loadBalancer: {algorithm: least-connections, drainTimeout: 1m30s}
  rollout: {maxUnavailable: 0, autoRollback: false}
  autoscale: {maxReplicas: 10, metrics: [{cpu: 70%}]}
  dependsOn: {db: healthy}
)");
  EXPECT_EQ(web.metadata().labels().at("n"), "1");
  const v1::Container& c = web.spec().containers(0);
  ASSERT_EQ(c.env_size(), 3);
  EXPECT_EQ(c.env(1).name(), "PORT");
  EXPECT_EQ(c.env(1).value(), "8080");
  EXPECT_EQ(c.resources().cpu().request(), 100);
  EXPECT_EQ(c.resources().cpu().limit(), 500);
  EXPECT_EQ(c.resources().memory().request(), 256 << 20);
  EXPECT_EQ(c.resources().memory().limit(), 256 << 20);
  EXPECT_EQ(c.health().http().path(), "/healthz");
  EXPECT_EQ(c.health().period().seconds(), 2);
  EXPECT_EQ(c.secrets(1).mode(), 0400);
  EXPECT_EQ(c.volumes(1).host_path(), "./conf");
  EXPECT_TRUE(c.volumes(1).read_only());
  EXPECT_EQ(web.spec().load_balancer().algorithm(),
            v1::LoadBalancer::LEAST_CONNECTIONS);
  EXPECT_EQ(web.spec().load_balancer().drain_timeout().seconds(), 90);
  EXPECT_TRUE(web.spec().rollout().has_max_unavailable());
  EXPECT_TRUE(web.spec().rollout().has_auto_rollback());
  EXPECT_FALSE(web.spec().rollout().has_max_surge());
  EXPECT_EQ(web.spec().autoscale().metrics(0).cpu(), 70);
  EXPECT_EQ(web.spec().depends_on(0).condition(), v1::Dependency::HEALTHY);
}

TEST(CodecTest, WhenFieldIsMisspelt_NamesPlaceAndNearest) {
  EXPECT_THAT(Problems("kind: Service\n"
                       "metadata: {name: web}\n"
                       "spec:\n"
                       "  image: nginx\n"
                       "\n"
                       "\n"
                       "  replcias: 3\n"),
              ElementsAre("web.yaml:7:3: spec.replcias: unknown field; "
                          "did you mean replicas?"));
  EXPECT_THAT(Problems("kind: Service\nnmae: web\nimage: nginx\n"),
              ElementsAre(HasSubstr("metadata.name: is missing"),
                          HasSubstr("2:1: spec.nmae: unknown field; did you "
                                    "mean name?")));
  // Near to "containers", it makes none of them.
  EXPECT_THAT(Problems("kind: Service\nname: a\nimage: b\ncontainer_name: x"),
              ElementsAre(HasSubstr("unknown field; here it is name")));
}

struct Fault {
  const char* text;
  const char* problem;
};

// Each fault stands in a service that is otherwise right.
constexpr Fault kFaults[] = {
    {"replicas: three", "4:11: spec.replicas: \"three\" is not a whole number"},
    {"replicas: [3]",
     "4:11: spec.replicas: must be a single value, not a list"},
    {"replicas:", "4:1: spec.replicas: has no value"},
    {"replicas: 99999999999", "spec.replicas: \"99999999999\" is out of range"},
    {"stopped: yes", "spec.stopped: \"yes\" is not true or false"},
    {"ports: 8080:80", "4:8: spec.ports: must be a list, not a single value"},
    {"ports: [\"80:x\"]", "4:9: spec.ports[0]: \"80:x\" is not a port such as"},
    {"command: nginx -g x", "spec.containers[0].command: must be a list"},
    {"stop: 10s",
     "spec.stop: must be a mapping, not a single value; write "
     "{signal: …, timeout: …}"},
    {"stop: {timeout: 10}", "spec.stop.timeout: \"10\" is not a duration"},
    {"restart: {policy: allways}",
     "4:19: spec.restart.policy: \"allways\" is not one of always, on-failure, "
     "never; did you mean always?"},
    {"image: other", "4:1: image: given twice; first in line 3"},
    {"labels: {a: [1]}", "metadata.labels.a: must be a single value"},
    {"environment: {A: b}", "spec.environment: unknown field; here it is env"},
    {"stop: {preStop: sleep 1}",
     "4:8: spec.stop.preStop: unknown field; it belongs to the container, "
     "beside image"},
    {"lifecycle: {preStop: x}",
     "spec.lifecycle: unknown field; here it is preStop"},
    {"stop: {colour: x}",
     "spec.stop.colour: unknown field; known are signal, timeout"},
    {"colour: blue",
     "spec.colour: unknown field; `ctl explain service.spec` lists what there "
     "is"},
    {"env: {A: }", "spec.containers[0].env.A: has no value"},
    {"ulimits: {nofile: x}",
     "spec.containers[0].ulimits[0]: \"x\" is not a limit such as 4096"},
    {"ulimits: {nofile: [1]}",
     "spec.containers[0].ulimits[0]: must be a mapping, not a list"},
    {"ulimits: [\"4096\"]",
     "spec.containers[0].ulimits[0]: \"4096\" is not a limit such as nofile="},
    {"devices: [fuse]",
     "spec.containers[0].devices[0]: \"fuse\" is not a device"},
    {"autoscale: {minReplicas: 0, maxReplicas: 2, metrics: [{cpu: 70%}]}",
     "4:26: spec.autoscale.minReplicas: is 0; use 1 or more, or leave it out"},
    {"autoscale: {maxReplicas: -3, metrics: [{cpu: 70%}]}",
     "spec.autoscale.maxReplicas: is -3; use 1 or more"},
    {"autoscale: {maxReplicas: 2, metrics: [{cpu: 0%}]}",
     "spec.autoscale.metrics[0].cpu: is 0%; use 1 or more"},
    {"autoscale: {maxReplicas: 2, metrics: [{connections: 0}]}",
     "spec.autoscale.metrics[0].connections: is 0; use 1 or more"},
    {"log: syslog",
     "spec.containers[0].log: \"syslog\" is not one of local, json-file"},
    {"shm_size: 1Gi", "here it is shmSize"},
    {"env: {A: 1, A: 2}", "spec.containers[0].env.A: given twice"},
    {"resources: {memory: 64mb}",
     "spec.containers[0].resources.memory: \"64mb\" is not a size such as"},
    {"volumes: [data]",
     "spec.containers[0].volumes[0]: \"data\" is not a mount"},
    {"secrets: [{mode: 9}]",
     "spec.containers[0].secrets[0].mode: \"9\" is not a file mode"},
    {"secrets: [{path: /x}]", "spec.containers[0].secrets[0].name: is missing"},
    {"containers: [{image: a}]", "3:1: spec.image: stands beside containers"},
    {"status: {replicas: 1}", "4:1: status: is set by the server; remove it"},
    {"apiVersion: v2", "4:1: apiVersion: \"v2\" is unknown"},
    {"? [a]\n: b", "4:3: a key must be text, not a list"},
    {"dependsOn: {db: ready}",
     "spec.dependsOn[0].condition: \"ready\" is not one of started, healthy"},
    {"health: {http: \"x\"}",
     "4:16: spec.containers[0].health.http: \"x\" is not an HTTP probe"},
    {"rollout: {maxSurge: 1", "not YAML: "},
    {"user: !include x", "the tag !include has no meaning here"},
    {"user: *nobody", "not YAML: the referenced anchor is not defined"},
    {"env: &a {A: *a}", "an alias cannot stand inside what it names"},
    {"user: \"a\\0b\"", "spec.containers[0].user: contains a zero byte"},
};

TEST(CodecTest, WhenAFieldIsWrong_SaysWhereAndWhat) {
  for (const Fault& fault : kFaults) {
    EXPECT_THAT(
        Problems(absl::StrCat("kind: Service\nname: web\nimage: nginx\n",
                              fault.text, "\n")),
        testing::Contains(HasSubstr(fault.problem)))
        << fault.text;
  }
}

TEST(CodecTest, WhenAJobIsToDoNothing_RefusesThat) {
  EXPECT_THAT(
      Problems("kind: Job\nname: a\nimage: b\ncompletions: 0\n"
               "parallelism: 0\nbackoffLimit: 0\n---\n"
               "kind: CronJob\nname: c\nschedule: \"0 3 * * *\"\nimage: b\n"
               "completions: 0\n"),
      ElementsAre(HasSubstr("4:14: spec.completions: is 0; use 1 or more"),
                  HasSubstr("5:14: spec.parallelism: is 0; use 1 or more"),
                  HasSubstr("spec.job.completions: is 0; use 1 or more")));
}

TEST(CodecTest, WhenManyFaults_ReportsAllOfAllDocuments) {
  EXPECT_THAT(Problems("kind: Service\nname: a\nreplicas: x\nports: 1\n"
                       "---\nkind: Servcie\n---\nkind: Volume\n"),
              ElementsAre(HasSubstr("spec.containers: is missing; give it, or "
                                    "image"),
                          HasSubstr("spec.replicas"), HasSubstr("spec.ports"),
                          HasSubstr("did you mean Service?"),
                          HasSubstr("metadata.name: is missing")));
}

TEST(CodecTest, WhenKindIsMissingOrForeign_SaysWhichThereAre) {
  EXPECT_THAT(Problems("name: x\n"),
              ElementsAre(HasSubstr("kind: is missing; kinds are Service")));
  EXPECT_THAT(Problems("kind: Replica\nname: x\n"),
              ElementsAre(HasSubstr("Replica objects are made by the server")));
  EXPECT_THAT(Problems("kind: Deployment\nname: x\n"),
              ElementsAre(HasSubstr("did you mean Service?")));
  EXPECT_THAT(Problems("hello"),
              ElementsAre(HasSubstr("a document must be a mapping")));
}

TEST(CodecTest, WhenServerSetFieldIsGiven_Refuses) {
  EXPECT_THAT(
      Problems("kind: Volume\nmetadata: {name: a, uid: x, resourceVersion: 4}"),
      ElementsAre("web.yaml:2:21: metadata.uid: is set by the server; remove "
                  "it"));
}

TEST(CodecTest, WhenJson_ReadsTheSame) {
  v1::Service web = Service(
      "{\n\t\"kind\": \"Service\", \"name\": \"web\",\n"
      "\t\"image\": \"a\\/b\", \"labels\": {\"x\": \"\\ud83d\\ude00\"},"
      " \"replicas\": 2}");
  EXPECT_EQ(web.spec().containers(0).image(), "a/b");
  EXPECT_EQ(web.metadata().labels().at("x"), "\xF0\x9F\x98\x80");
  EXPECT_THAT(Problems("{\"kind\": \"Service\", \"name\": \"w\",\n"
                       " \"image\": \"x\", \"replica\": 1}"),
              ElementsAre(HasSubstr("web.yaml:2:16: spec.replica: unknown")));
  EXPECT_THAT(Parse("[{\"kind\": \"Volume\", \"name\": \"a\"},"
                    "{\"kind\": \"Volume\", \"name\": \"b\"}]",
                    Options())
                  .objects,
              SizeIs(2));
}

TEST(CodecTest, WhenEmptyOrComments_HasNoObjects) {
  for (const char* text : {"", "\n", "# nothing\n", "---\n---\n", "null"}) {
    ParseResult result = Parse(text, Options());
    EXPECT_TRUE(result.ok()) << text;
    EXPECT_THAT(result.objects, IsEmpty());
  }
}

TEST(CodecTest, WhenAnchorsAreUsed_SharesAndMerges) {
  v1::Service web = Service(R"(
x-common: &common
  user: "1000"
  env: {A: b}
kind: Service
metadata: {name: web}
spec:
  containers:
    - {<<: *common, name: a, image: x, user: root}
    - <<: [*common]
      name: b
      image: y
)");
  EXPECT_EQ(web.spec().containers(0).user(), "root");
  EXPECT_EQ(web.spec().containers(1).user(), "1000");
  EXPECT_EQ(web.spec().containers(1).env(0).value(), "b");
}

TEST(CodecTest, WhenAliasesExplode_StopsAtTheBound) {
  std::string text = "x-a: &a [";
  for (int i = 0; i < 2000; ++i) text += "x,";
  text += "]\nx-b: &b {image: i, name: n, args: *a}\nx-c: &c [";
  for (int i = 0; i < 2000; ++i) text += "*b,";
  text +=
      "]\nkind: Service\nmetadata: {name: web}\n"
      "spec: {containers: *c, initContainers: *c, sidecars: *c}\n";
  EXPECT_THAT(Problems(text),
              testing::Contains(HasSubstr("its aliases expand to too much")));
}

TEST(CodecTest, WhenTooDeepOrTooLarge_Refuses) {
  EXPECT_THAT(Problems(std::string(5000, '[')), Not(IsEmpty()));
  EXPECT_THAT(
      Problems("kind: " + std::string(100, '[') + std::string(100, ']')),
      ElementsAre(HasSubstr("nested more than 64 levels deep")));
  EXPECT_THAT(Problems(std::string((4 << 20) + 1, ' ')),
              ElementsAre(HasSubstr("larger than 4 MiB")));
  EXPECT_THAT(Problems("kind: \xff"), ElementsAre(HasSubstr("1:7: not UTF-8")));
}

TEST(CodecTest, WhenViolationIsOfTheFullForm_MapsToWhatWasWritten) {
  ParseResult result = Parse(
      "kind: Service\n"
      "name: web\n"
      "image: nginx\n"
      "ports:\n"
      "  - \"80\"\n"
      "  - \"8080:80\"\n"
      "env: {A: x, B: y}\n"
      "stop:\n"
      "  timeout: 1s\n",
      Options());
  ASSERT_TRUE(result.ok());
  const Places& places = result.objects[0].places;
  EXPECT_EQ(places.Find("metadata.name").ToString(), "web.yaml:2:1");
  EXPECT_EQ(places.Find("spec.containers[0].image").ToString(), "web.yaml:3:1");
  EXPECT_EQ(places.Find("spec.ports[1].hostPort").ToString(), "web.yaml:6:5");
  EXPECT_EQ(places.Find("spec.containers[0].env[1].value").ToString(),
            "web.yaml:7:16");
  EXPECT_EQ(places.Find("spec.stop.timeout").ToString(), "web.yaml:9:3");
  EXPECT_EQ(places.Find("spec.rollout.maxSurge").ToString(), "web.yaml:3:1");
  EXPECT_EQ(places.Find("status").ToString(), "web.yaml:1:1");
}

TEST(CodecTest, WhenCronJobIsShort_ReachesTheJobsContainer) {
  ParseResult result = Parse(
      "kind: CronJob\nname: nightly\nschedule: '0 3 * * *'\n"
      "image: tools:3\nbackoffLimit: 2\n",
      Options());
  ASSERT_EQ(ToString(result.problems), "");
  const v1::CronJob& job = result.objects[0].object.cron_job();
  EXPECT_EQ(job.spec().job().containers(0).image(), "tools:3");
  EXPECT_EQ(job.spec().job().containers(0).name(), "nightly");
  EXPECT_EQ(job.spec().job().backoff_limit(), 2);
  EXPECT_EQ(
      result.objects[0].places.Find("spec.job.containers[0].image").ToString(),
      "web.yaml:4:1");
}

TEST(CodecTest, WhenFolderIsKnown_ResolvesRelativeHostPaths) {
  ParseOptions options = Options();
  options.folder = "/srv/app";
  ParseResult result = Parse(
      "kind: Service\nname: a\nimage: i\n"
      "volumes: [\"./conf:/a\", \"../x/:/b\", \"/abs:/c\", \"v:/d\",\n"
      "  {hostPath: data, path: /e}]\n",
      options);
  ASSERT_EQ(ToString(result.problems), "");
  const v1::Container& c =
      result.objects[0].object.service().spec().containers(0);
  EXPECT_EQ(c.volumes(0).host_path(), "/srv/app/conf");
  EXPECT_EQ(c.volumes(1).host_path(), "/srv/x");
  EXPECT_EQ(c.volumes(2).host_path(), "/abs");
  EXPECT_EQ(c.volumes(3).host_path(), "");
  EXPECT_EQ(c.volumes(4).host_path(), "/srv/app/data");
}

TEST(CodecTest, WhenConfigHoldsBytes_ReadsTextAndBase64) {
  auto value = [](absl::string_view yaml) {
    ParseResult result =
        Parse(absl::StrCat("kind: Config\nname: a\nvalue: ", yaml), Options());
    EXPECT_EQ(ToString(result.problems), "");
    return result.objects[0].object.config().spec().value();
  };
  EXPECT_EQ(value("|\n  a: b\n  c\n"), "a: b\nc\n");
  EXPECT_EQ(value("base64:AAH/"), std::string("\0\1\xff", 3));
  EXPECT_THAT(Problems("kind: Config\nname: a\nvalue: base64:?"),
              ElementsAre(HasSubstr("is not base64")));
}

TEST(CodecTest, WhenPrinted_IsTheFullForm) {
  ParseResult result = Parse(
      "kind: Service\nname: web\nimage: nginx:1.27\nports: [\"8080:80\"]\n"
      "replicas: 0\nenv: {A: \"1\", B: 'x y'}\ncommand: [sh, -c, \"a\\nb\"]\n"
      "resources: {memory: 64Mi}\n",
      Options());
  ASSERT_EQ(ToString(result.problems), "");
  EXPECT_EQ(PrintYaml(result.objects[0].object, {}),
            R"(apiVersion: bulwark/v1
kind: Service
metadata:
  name: web
spec:
  replicas: 0
  containers:
    - name: web
      image: nginx:1.27
      command:
        - sh
        - "-c"
        - |-
          a
          b
      env:
        A: "1"
        B: x y
      resources:
        memory:
          request: 64Mi
          limit: 64Mi
  ports:
    - containerPort: 80
      hostPort: 8080
)");
  EXPECT_THAT(PrintJson(result.objects[0].object, {}),
              HasSubstr("\"env\": {\n          \"A\": \"1\","));
}

}  // namespace
}  // namespace bulwark::manifest
