#include "tests/e2e/prometheus_faults.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/e2e/process.h"

namespace bulwark::e2e {
namespace {

constexpr int kSteadyPort = 18081;
constexpr int kIdlePort = 18082;
constexpr int kRefusePort = 18083;
constexpr int kSilentPort = 18084;
constexpr int kPulls = 12;

constexpr char kServe[] =
    "mkdir -p /www; touch /www/ok; exec httpd -f -p 80 -h /www";
constexpr char kSleep[] = "exec sleep 100000";
constexpr char kProbe[] = "health: {http: \":80/ok\", period: 200ms}\n";
// In front of what a service does only once its fault is made.
// Rarely: on a slow machine each look takes 10 ms of a processor, which would
// be load enough for the autoscaler.
constexpr char kAwaitGo[] = "while [ ! -e /tmp/go ]; do sleep 2; done; ";
constexpr char kGo[] = "touch /tmp/go";

std::string Rollout(const std::string& more = "") {
  return absl::StrCat("rollout: {minHealthyTime: 100ms", more, "}\n");
}

std::string Port(int number) {
  return absl::StrCat("ports: [\"", number, ":80\"]\n");
}

std::string Autoscale(int min, int max, int percent) {
  return absl::StrCat("resources: {cpu: 50m}\nautoscale: {minReplicas: ", min,
                      ", maxReplicas: ", max, ", metrics: [{cpu: ", percent,
                      "%}]}\n", Rollout());
}

// Accepts on loopback, as far as the kernel does it.
UniqueFd ListenInSilence(int port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  EXPECT_EQ(
      bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)),
      0);
  EXPECT_EQ(listen(fd.get(), 100), 0);
  return fd;
}

}  // namespace

Faults::Faults(World& world, std::string busybox, std::string nginx)
    : world_(world), busybox_(std::move(busybox)), nginx_(std::move(nginx)) {}

std::string Faults::VictimOf(const std::string& fault) {
  static const auto& victims = *new std::map<std::string, std::string>{
      {"load", "steady"},    {"scale", "wide"},     {"rollout", "roll"},
      {"kill", "victim"},    {"crash", "crash"},    {"rollback", "back"},
      {"oom", "oom"},        {"burn", "burn"},      {"no_backend", "idle"},
      {"refuse", "refuse"},  {"stuck", "stuck"},    {"no_image", "lost"},
      {"autoscale", "auto"}, {"rescale", "bounds"}, {"disk", "disk"}};
  auto it = victims.find(fault);
  return it == victims.end() ? ".*" : it->second;
}

std::string Faults::Service(const std::string& name, const std::string& command,
                            const std::string& more) const {
  return absl::StrCat("kind: Service\nname: ", name, "\nimage: ", busybox_,
                      "\ncommand: [sh, -c, '", command,
                      "']\nstop: {timeout: 1s}\n", more, "\n---\n");
}

std::string Faults::Job(const std::string& name, const std::string& command,
                        const std::string& more) const {
  return absl::StrCat(
      "kind: Job\nname: ", name, "\nimage: ", busybox_, "\ncommand: [sh, -c, '",
      command, "']\nstop: {timeout: 1s}\nbackoffLimit: 0\n", more, "\n---\n");
}

std::string Faults::CronJob(const std::string& name,
                            const std::string& schedule,
                            const std::string& command) const {
  return absl::StrReplaceAll(
      Job(name, command, absl::StrCat("schedule: \"", schedule, "\"\n")),
      {{"kind: Job", "kind: CronJob"}});
}

// Those with traffic or rollouts.
std::string Faults::Served() const {
  return absl::StrCat(
      Service(
          "steady", kServe,
          absl::StrCat("replicas: 2\n", Port(kSteadyPort), kProbe, Rollout())),
      Service("wide", kSleep, "replicas: 2\n" + Rollout()),
      Service("roll", kSleep, Rollout()), Service("victim", kSleep, Rollout()),
      Service("crash", kSleep, Rollout(", autoRollback: false")),
      Service("back", kSleep, Rollout()),
      Service("idle", kServe,
              absl::StrCat(Port(kIdlePort), kProbe,
                           "loadBalancer: {holdTimeout: 1s}\n", Rollout())),
      Service("refuse",
              "httpd -f -p 80 & echo $$! > /tmp/pid; "
              "while true; do sleep 1; done",
              absl::StrCat("replicas: 2\n", Port(kRefusePort),
                           "health: {exec: \"true\", period: 200ms}\n",
                           Rollout())));
}

// Those that will take more of something than they may.
std::string Faults::Burdened() const {
  return absl::StrCat(
      Service("oom", absl::StrCat(kAwaitGo, "exec tail /dev/zero"),
              "resources: {memory: 32Mi}\n" + Rollout()),
      Service("burn",
              absl::StrCat(kAwaitGo,
                           "dd if=/dev/zero of=/dev/shm/fill bs=1M count=60; "
                           "sleep 100000 & while true; do true; done & "
                           "while true; do true; done"),
              "resources: {cpu: 50m, memory: 66Mi}\n" + Rollout()),
      Service("auto", absl::StrCat(kAwaitGo, "while true; do true; done"),
              Autoscale(1, 2, 30)),
      Service("bounds", kSleep, Autoscale(1, 2, 30)),
      // Little, but durably: it waits for the disk nearly all the time.
      Service("disk",
              absl::StrCat(kAwaitGo,
                           "while true; do dd if=/dev/zero of=/tmp/f bs=4k "
                           "count=4 conv=fsync; dd if=/tmp/f of=/dev/null "
                           "bs=4k iflag=direct; done 2> /dev/null"),
              Rollout()),
      Service("keeper", kSleep,
              absl::StrCat("volumes: [\"", kVolume, ":/data\"]\n", Rollout())));
}

void Faults::DeclareBaseline() {
  Apply(absl::StrCat(
      "kind: Volume\nname: ", kVolume, "\ndriver: image\nsize: 32Mi\n---\n",
      // Nobody waits for it.
      CronJob(kCronJob, "0 0 1 1 *", "true"), Served(), Burdened()));
}

void Faults::MakeAll() {
  FillVolume();
  FailBackup();
  GrowStore();
  FailJobs();
  FailServices();
  FailRollouts();
  Push();
  LoadDisk();
  for (int port : {kSteadyPort, kIdlePort, kRefusePort}) {
    traffic_.emplace_back(port,
                          std::vector<load::Mode>{load::Mode::kPerRequest});
  }
  for (int i = 0; i < 20; ++i) Ctl({"version"});
}

void Faults::EndLoad() {
  traffic_.clear();
  Ctl({"scale", "disk", "0"});
}

void Faults::FailServices() {
  for (const char* service : {"oom", "burn", "auto"}) Exec(service, kGo);
  Exec("idle", "rm /www/ok");
  Exec("refuse", "kill $(cat /tmp/pid)");
  const std::vector<ReplicaInfo> victims = world_.Ready("victim");
  ASSERT_EQ(victims.size(), 1);
  EXPECT_EQ(kill(victims[0].pid, SIGKILL), 0);
  Ctl({"scale", "wide", "3"});
  Apply(Service("bounds", kSleep, Autoscale(2, 4, 60)));
}

void Faults::FailRollouts() {
  const std::string exits = "exit 3";
  Apply(Service("crash", exits,
                Rollout(", autoRollback: false, maxUnavailable: 1")));
  Apply(Service("back", exits, Rollout(", progressDeadline: 3s")));
  Apply(Service("roll", kSleep, "env: {CHANGED: \"yes\"}\n" + Rollout()));
  Apply(Service("stuck", kSleep,
                "health: {exec: \"false\", period: 200ms}\n" +
                    Rollout(", autoRollback: false, progressDeadline: 2s")));
  Apply(absl::StrReplaceAll(Service("lost", kSleep, Rollout()),
                            {{busybox_, busybox_ + "none"}}));
  Apply(absl::StrReplaceAll(Service("fresh", kSleep, Rollout()),
                            {{busybox_, nginx_}}));
}

// One that works, one that fails, and two that come with the next minute.
void Faults::FailJobs() {
  Apply(absl::StrCat(Job("works", kSleep), Job("fails", "exit 3"),
                     CronJob(kCronJob, "* * * * *", "true"),
                     CronJob("trips", "* * * * *", "exit 3")));
}

void Faults::FillVolume() {
  Ctl({"secret", "create", "backups", "-"}, "of-the-repository");
  Ctl({"volume", "snapshot", kVolume, "first"});
  Ctl({"volume", "backup", kVolume, "--repository", world_.Path("backups"),
       "--password-secret", "backups"});
  Exec("keeper",
       "for i in $(seq 100); do touch /data/$i; done; "
       "dd if=/dev/zero of=/data/big bs=1M count=100; sync; test -s /data/big");
}

// After a good one, which stays known.
void Faults::FailBackup() {
  const std::string file = world_.Path("no-directory");
  EXPECT_TRUE(Run({"touch", file}).ok());
  const Result result = world_.Ctl(
      {"volume", "backup", kVolume, "--repository",
       absl::StrCat(file, "/repository"), "--password-secret", "backups"},
      absl::Seconds(60));
  EXPECT_FALSE(result.ok()) << result.ToString();
}

void Faults::LoadDisk() { Exec("disk", kGo); }

void Faults::GrowStore() {
  Ctl({"config", "create", "big", "-"}, "small");
  for (int i = 0; i < 20; ++i) WriteMuch();
}

// An image that the registry has no part of: what another of its repositories
// has would not be sent.
void Faults::Push() {
  const std::string content = world_.Path("pushed.bin");
  const std::string archive = world_.Path("pushed.tar");
  EXPECT_TRUE(Run({"dd", "if=/dev/urandom", absl::StrCat("of=", content),
                   "bs=1M", "count=1", "status=none"})
                  .ok());
  EXPECT_TRUE(
      Run({"tar", "-cf", archive, "-C", world_.Path("."), "pushed.bin"}).ok());
  const std::string image =
      absl::StrCat(busybox_.substr(0, busybox_.find('/')), "/pushed:1");
  Ctl({"import", archive, image});
  Ctl({"push", "-q", image});
}

bool Faults::WriteMuch() {
  return world_
      .Ctl({"config", "set", "big", "-"}, absl::Seconds(60),
           std::string(60000, static_cast<char>('a' + writes_++ % 26)))
      .ok();
}

// More than there are workers that pull for jobs.
void Faults::HoldPulls() {
  silent_ = ListenInSilence(kSilentPort);
  std::string jobs;
  for (int i = 0; i < kPulls; ++i) {
    absl::StrAppend(
        &jobs,
        absl::StrReplaceAll(Job(absl::StrCat("waits", i), kSleep),
                            {{busybox_, absl::StrCat("127.0.0.1:", kSilentPort,
                                                     "/none", i, ":1")}}));
  }
  Apply(jobs);
}

void Faults::ReleasePulls() {
  silent_.Reset();
  for (int i = 0; i < kPulls; ++i) {
    Ctl({"delete", "job", absl::StrCat("waits", i)});
  }
}

void Faults::Ctl(const std::vector<std::string>& arguments,
                 const std::string& input) {
  const Result result = world_.Ctl(arguments, absl::Seconds(60), input);
  EXPECT_TRUE(result.ok()) << result.ToString();
}

void Faults::Exec(const std::string& service, const std::string& command) {
  Ctl({"exec", service, "--", "sh", "-c", command});
}

void Faults::Apply(const std::string& manifest) {
  const Result result = world_.Apply(manifest);
  EXPECT_TRUE(result.ok()) << result.ToString();
}

}  // namespace bulwark::e2e
