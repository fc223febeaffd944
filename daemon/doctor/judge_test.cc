#include "daemon/doctor/judge.h"

#include <cerrno>
#include <functional>
#include <set>
#include <string>

#include "base/testing/status_matchers.h"

namespace bulwark::daemon {
namespace {

using ::testing::HasSubstr;

constexpr absl::string_view kGood = "good", kLimited = "limited", kBad = "bad";

// A host on which all is well.
HostFacts GoodHost() {
  HostFacts facts;
  facts.kernel = "6.12.9-amd64";
  facts.overlay = true;
  facts.max_user_namespaces = 15000;
  facts.v2_controllers = {"cpu", "io", "memory", "pids"};
  facts.pressure = true;
  facts.ip_forward = true;
  facts.uplink = "bulwark-up";
  facts.ipv6 = true;
  facts.dns_upstreams = {"192.0.2.53"};
  facts.tracked_connections = 10;
  facts.max_tracked_connections = 65536;
  for (DiskFacts* disk : {&facts.state_disk, &facts.runtime_disk}) {
    disk->total_bytes = int64_t{100} << 30;
    disk->available_bytes = int64_t{50} << 30;
    disk->inodes = 1000000;
    disk->free_inodes = 900000;
  }
  facts.state_disk.path = "/var/lib/bulwark";
  facts.runtime_disk.path = "/run/bulwark";
  facts.runtime_in_memory = true;
  facts.now = absl::FromUnixSeconds(1900000000);
  facts.clock_synchronized = true;
  facts.newest_record = facts.now - absl::Minutes(1);
  facts.oom_score = -999;
  facts.max_open_files = 1048576;
  facts.under_systemd = true;
  facts.has_restic = true;
  facts.socket = "/run/bulwark/bulwarkd.sock";
  facts.socket_group = "bulwark";
  facts.socket_mode = 0660;
  return facts;
}

std::string ResultOf(const v1::DoctorCheck& check) {
  return std::string(check.result() == v1::DoctorCheck::GOOD      ? kGood
                     : check.result() == v1::DoctorCheck::LIMITED ? kLimited
                                                                  : kBad);
}

TEST(JudgeTest, WhenAllIsWell_EveryCheckIsGood) {
  const v1::DoctorResponse response = Judge(GoodHost());
  std::set<std::string> names;
  for (const v1::DoctorCheck& check : response.checks()) {
    EXPECT_EQ(ResultOf(check), kGood) << check.ShortDebugString();
    EXPECT_FALSE(check.message().empty()) << check.name();
    EXPECT_TRUE(names.insert(check.name()).second) << check.name();
  }
  EXPECT_GE(names.size(), 20u);
}

TEST(JudgeTest, WhenSomethingIsMissing_SaysTheConsequenceAndTheRemedy) {
  using Facts = HostFacts;
  const struct {
    const char* check;
    absl::string_view result;
    std::function<void(Facts&)> change;
    const char* message;
    const char* remedy;
  } kCases[] = {
      {"kernel", kBad, [](Facts& f) { f.kernel = "5.10.0-30"; },
       "Linux 5.10.0-30 cannot kill", "6.1 or newer"},
      {"kernel", kLimited, [](Facts& f) { f.kernel = "5.15.0"; },
       "older than what is tested", "6.1"},
      {"kernel", kLimited, [](Facts& f) { f.max_kernel = "6.1"; },
       "nothing newer than 6.1", "--max-kernel"},
      {"kernel", kLimited, [](Facts& f) { f.kernel = "strange"; },
       "not understood", "report"},
      {"overlay", kBad, [](Facts& f) { f.overlay = false; },
       "no container starts", "modprobe overlay"},
      {"namespaces", kBad, [](Facts& f) { f.missing_namespaces = {"pid"}; },
       "pid", "kernel"},
      {"namespaces", kLimited,
       [](Facts& f) { f.shared_ids = {"/etc/subuid gives max 1 to 9"}; },
       "/etc/subuid gives max 1 to 9", "--id-base"},
      {"namespaces", kLimited, [](Facts& f) { f.max_user_namespaces = 0; },
       "switched off", "user.max_user_namespaces"},
      {"namespaces", kLimited,
       [](Facts& f) { f.host_users = "map ids of /x: no"; },
       "map ids of /x: no", "ext4"},
      {"cgroups", kBad,
       [](Facts& f) { f.cgroup_error = "version 2 is not mounted"; },
       "version 2 is not mounted", "cgroup2"},
      {"cgroups", kLimited,
       [](Facts& f) {
         f.v2_controllers = {"cpu", "pids"};
       },
       "memory", "Delegate=yes"},
      {"cgroups", kGood,
       [](Facts& f) {
         f.v2_controllers = {};
         f.v1_controllers = {"cpu", "memory", "pids"};
       },
       "hybrid", ""},
      {"records", kBad,
       [](Facts& f) { f.unreadable_records = {"service/default/web"}; },
       "cannot be read: service/default/web", "docs/operation.md"},
      {"records", kBad,
       [](Facts& f) {
         f.unreadable_records = {"a", "b", "c", "d", "e", "f", "g"};
       },
       "a, b, c, d, e and 2 more", "docs/operation.md"},
      {"pressure", kLimited, [](Facts& f) { f.pressure = false; }, "PSI",
       "psi=1"},
      {"nftables", kBad, [](Facts& f) { f.nft_error = "open nftables: no"; },
       "open nftables: no", "nf_tables"},
      {"egress", kBad, [](Facts& f) { f.ip_forward = false; },
       "does not forward", "net.ipv4.ip_forward=1"},
      {"egress", kBad,
       [](Facts& f) {
         f.forward_chains = {{"ip filter", "FORWARD", true, false}};
       },
       "chain FORWARD of table ip filter drops",
       "ufw route allow in on "
       "bulwark-up"},
      {"egress", kBad,
       [](Facts& f) {
         f.forward_chains = {{"iptables (legacy)", "FORWARD", true, false}};
       },
       "iptables (legacy)", "iptables-legacy -I FORWARD -i bulwark-up"},
      {"egress", kGood,
       [](Facts& f) {
         f.forward_chains = {{"ip filter", "FORWARD", true, true}};
       },
       "has rules for it", ""},
      {"egress", kGood,
       [](Facts& f) {
         f.forward_chains = {{"ip filter", "FORWARD", false, false}};
       },
       "forwarded through bulwark-up", ""},
      {"ipv6", kLimited, [](Facts& f) { f.ipv6 = false; }, "IPv4 only",
       "disable_ipv6"},
      {"dns", kLimited, [](Facts& f) { f.dns_upstreams = {}; }, "services only",
       "dns-upstream"},
      {"ports", kBad,
       [](Facts& f) {
         f.closed_ports = {
             {"default/web", "port 8080 is in use", {"nginx (pid 12)"}}};
       },
       "service default/web: port 8080 is in use (held by nginx (pid 12))",
       "another hostPort"},
      {"conntrack", kLimited, [](Facts& f) { f.tracked_connections = 60000; },
       "60000 of 65536", "nf_conntrack_max=131072"},
      {"conntrack", kGood, [](Facts& f) { f.max_tracked_connections = 0; },
       "not tracked", ""},
      {"disk", kBad, [](Facts& f) { f.state_disk.available_bytes = 1 << 20; },
       "refused", "ctl system prune"},
      {"disk", kBad, [](Facts& f) { f.state_disk.read_only = true; },
       "read-only", "remount,rw"},
      {"disk", kBad, [](Facts& f) { f.state_disk.free_inodes = 5; },
       "hardly any inode", "prune"},
      {"disk", kLimited,
       [](Facts& f) { f.state_disk.available_bytes = int64_t{3} << 30; },
       "the next pull may fail", "prune"},
      {"disk", kLimited, [](Facts& f) { f.state_disk.free_inodes = 40000; },
       "few inodes", "prune"},
      {"disk", kGood, [](Facts& f) { f.state_disk.inodes = 0; }, "free", ""},
      {"disk", kBad, [](Facts& f) { f.state_disk.error = "look at /x: no"; },
       "look at /x", "look at"},
      {"runtime-dir", kLimited, [](Facts& f) { f.runtime_in_memory = false; },
       "on a disk", "/run"},
      {"runtime-dir", kBad,
       [](Facts& f) { f.runtime_disk.available_bytes = 4096; }, "refused", ""},
      {"clock", kBad, [](Facts& f) { f.now = absl::FromUnixSeconds(1000); },
       "1970", "timesyncd"},
      {"clock", kBad,
       [](Facts& f) { f.newest_record = f.now + absl::Hours(1); }, "set back",
       "set it right"},
      {"clock", kLimited, [](Facts& f) { f.clock_synchronized = false; },
       "drift", "timesyncd"},
      {"io_uring", kLimited, [](Facts& f) { f.io_uring_error = EPERM; },
       "epoll", "io_uring_disabled"},
      {"loop", kLimited, [](Facts& f) { f.loop_error = ENOENT; },
       "driver image", "modprobe loop"},
      {"restic", kLimited, [](Facts& f) { f.has_restic = false; }, "backed up",
       "apt-get install restic"},
      {"oom", kLimited, [](Facts& f) { f.oom_score = 0; }, "score 0",
       "OOMScoreAdjust=-999"},
      {"oom", kLimited,
       [](Facts& f) {
         f.oom_score = 0;
         f.missing_capabilities = {"SYS_RESOURCE"};
       },
       "score 0", "CAP_SYS_RESOURCE"},
      {"capabilities", kLimited,
       [](Facts& f) { f.missing_capabilities = {"SYS_RESOURCE"}; },
       "CAP_SYS_RESOURCE", "root"},
      {"capabilities", kBad,
       [](Facts& f) { f.missing_capabilities = {"NET_ADMIN"}; },
       "CAP_NET_ADMIN", "root"},
      {"open-files", kLimited, [](Facts& f) { f.max_open_files = 1024; },
       "1024", "LimitNOFILE"},
      {"supervision", kLimited, [](Facts& f) { f.under_systemd = false; },
       "nobody starts it again", "tools/install"},
      {"socket", kBad, [](Facts& f) { f.socket_mode = 0666; }, "mode 0666",
       "chmod o="},
      {"socket", kGood, [](Facts& f) { f.socket_group = "root"; }, "only root",
       ""},
      {"key-file", kBad,
       [](Facts& f) {
         f.secrets = 3;
         f.key_file = "/etc/bulwark/master.key";
         f.key_file_error = "open /etc/bulwark/master.key: No such file";
       },
       "3 secrets cannot be opened", "put /etc/bulwark/master.key back"},
      {"key-file", kBad,
       [](Facts& f) {
         f.secrets = 3;
         f.key_file = "/k";
         f.key_file_mode = 0644;
       },
       "/k has mode 0644", "chmod 0400 /k"},
      {"key-file", kBad,
       [](Facts& f) {
         f.key_file = "/k";
         f.key_file_error = "open /k: Permission denied";
       },
       "no secret can be kept after", "put /k back"},
      {"key-file", kBad,
       [](Facts& f) {
         f.key_file = "/k";
         f.key_file_mode = 0400;
         f.key_file_owner = 1000;
       },
       "owner 1000", "chown root"},
      {"key-file", kBad,
       [](Facts& f) {
         f.key_file = "/etc/k";
         f.key_file_mode = 0400;
         f.key_file_folder = "/var/lib/bulwark";
       },
       "/etc/k lies in /var/lib/bulwark", "move the file"},
      {"key-file", kGood,
       [](Facts& f) {
         f.secrets = 3;
         f.key_file = "/k";
         f.key_file_mode = 0400;
       },
       "keep a copy", ""},
  };
  for (const auto& c : kCases) {
    HostFacts facts = GoodHost();
    c.change(facts);
    int found = 0;
    const v1::DoctorResponse response = Judge(facts);
    for (const v1::DoctorCheck& check : response.checks()) {
      if (check.name() != c.check) continue;
      ++found;
      EXPECT_EQ(ResultOf(check), c.result) << check.ShortDebugString();
      EXPECT_THAT(check.message(), HasSubstr(c.message));
      EXPECT_THAT(check.remedy(), HasSubstr(c.remedy));
      EXPECT_EQ(check.remedy().empty(), c.result == kGood) << c.check;
    }
    EXPECT_EQ(found, 1) << c.check;
  }
}

}  // namespace
}  // namespace bulwark::daemon
