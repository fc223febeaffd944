#include "daemon/doctor/gather.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "daemon/doctor/firewall.h"
#include "daemon/doctor/judge.h"
#include "store/mem/mem_store.h"
#include "store/objects.h"

namespace bulwark::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(FirewallTest, FindsTheChainsThatForward) {
  const auto chains = ForwardChains(
      "table ip filter {\n"
      "\tchain INPUT {\n"
      "\t\ttype filter hook input priority filter; policy accept;\n"
      "\t}\n"
      "\tchain FORWARD {\n"
      "\t\ttype filter hook forward priority filter; policy drop;\n"
      "\t}\n"
      "\tchain DOCKER {\n"
      "\t}\n"
      "}\n"
      "table inet firewalld {\n"
      "\tchain filter_FORWARD {\n"
      "\t\ttype filter hook forward priority filter + 10; policy accept;\n"
      "\t}\n"
      "}\n");
  ASSERT_EQ(chains.size(), 2u);
  EXPECT_EQ(chains[0].table, "ip filter");
  EXPECT_EQ(chains[0].chain, "FORWARD");
  EXPECT_EQ(chains[1].table, "inet firewalld");
  EXPECT_EQ(chains[1].chain, "filter_FORWARD");
  EXPECT_THAT(ForwardChains(""), IsEmpty());
}

TEST(FirewallTest, KnowsWhatAChainDoesInTheEnd) {
  auto chain = [](absl::string_view policy, absl::string_view rules) {
    return absl::StrCat(
        "table ip f {\n\tchain c {\n\t\ttype filter hook forward priority "
        "filter; policy ",
        policy, ";\n", rules, "\t}\n}\n");
  };
  const struct {
    const char* policy;
    const char* rules;
    bool drops;
  } kCases[] = {
      {"accept", "", false},
      {"drop", "", true},
      {"drop", "\t\tct state established accept\n", true},
      {"accept", "\t\tdrop\n", true},
      {"accept", "\t\treject with icmpx admin-prohibited\n", true},
      {"accept", "\t\tcounter packets 3 bytes 120 drop\n", true},
      {"accept", "\t\tlog prefix \"no \" drop\n", true},
      {"accept", "\t\tct state invalid drop\n", false},
      {"accept", "\t\tdrop\n\t\tiifname \"a\" accept\n", false},
      {"accept", "\t\tjump other\n", false},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(DropsByDefault(chain(c.policy, c.rules)), c.drops)
        << c.policy << c.rules;
  }
}

TEST(FirewallTest, FindsWhoListens) {
  constexpr absl::string_view kTcp =
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when "
      "retrnsmt   uid  timeout inode\n"
      "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 "
      "00000000     0        0 12345 1 0 100 0 0 10 0\n"
      "   1: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 "
      "00000000     0        0 777 1 0 100 0 0 10 0\n"
      "   2: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 "
      "00000000     0        0 99 1 0 100 0 0 10 0\n";
  EXPECT_THAT(ListeningInodes(kTcp, 8080), ElementsAre("12345"));
  EXPECT_THAT(ListeningInodes(kTcp, 80), ElementsAre("99"));
  EXPECT_THAT(ListeningInodes(kTcp, 81), IsEmpty());
}

// Whatever host this is, it must have been looked at.
TEST(GatherTest, LooksAtThisHost) {
  testing::TempDir dir;
  testing::FakeClock clock;
  store::MemStore store(clock);
  Config config;
  config.state_dir = dir.path();
  config.runtime_dir = dir.path();
  Complete(config);
  const HostFacts facts = Gather(config, store, clock);
  EXPECT_FALSE(facts.kernel.empty());
  EXPECT_GT(facts.state_disk.total_bytes, 0);
  EXPECT_GT(facts.max_open_files, 0);
  EXPECT_TRUE(facts.missing_namespaces.empty());
  EXPECT_GE(Judge(facts).checks_size(), 20);
}

TEST(GatherTest, LooksAtTheKeyFile) {
  testing::TempDir dir;
  testing::FakeClock clock;
  store::MemStore store(clock);
  Config config;
  config.state_dir = dir / "state";
  config.runtime_dir = dir / "run";
  config.key_file = dir / "key";
  std::filesystem::create_directories(config.state_dir);
  const auto gather = [&] { return Gather(config, store, clock); };
  EXPECT_EQ(
      gather().key_file_error,
      absl::StrCat("open ", config.key_file, ": No such file or directory"));
  std::ofstream(config.key_file) << "x";
  ASSERT_EQ(chmod(config.key_file.c_str(), 0640), 0);
  HostFacts facts = gather();
  EXPECT_EQ(facts.key_file, config.key_file);
  EXPECT_EQ(facts.key_file_error, "");
  EXPECT_EQ(facts.key_file_folder, "");
  EXPECT_EQ(facts.key_file_mode, 0640);
  EXPECT_EQ(facts.key_file_owner, static_cast<int>(getuid()));
  // By a link it is in the state directory after all.
  std::filesystem::rename(config.key_file, config.state_dir + "/key");
  std::filesystem::create_symlink(config.state_dir + "/key", config.key_file);
  EXPECT_EQ(gather().key_file_folder, config.state_dir);
  config.key_file = config.state_dir;
  EXPECT_THAT(gather().key_file_error,
              ::testing::HasSubstr("not a regular file"));
}

TEST(GatherTest, WhenThereIsNoStateDirectory_SaysSo) {
  testing::FakeClock clock;
  store::MemStore store(clock);
  Config config;
  config.state_dir = "/nowhere/at/all";
  EXPECT_THAT(Gather(config, store, clock).state_disk.error,
              ::testing::HasSubstr("/nowhere/at/all: No such file"));
}

TEST(GatherTest, CountsSecretsAndFindsClosedPorts) {
  testing::FakeClock clock;
  store::MemStore store(clock);
  store::Batch batch;
  v1::Object service;
  service.mutable_service()->mutable_metadata()->set_name("web");
  service.mutable_service()->mutable_metadata()->set_project("shop");
  service.mutable_service()->mutable_spec()->add_ports()->set_host_port(1);
  v1::Condition& condition =
      *service.mutable_service()->mutable_status()->add_conditions();
  condition.set_type("PortsOpen");
  condition.set_status(v1::Condition::FALSE);
  condition.set_message("port 1 is in use");
  batch.Put(store::KeyOf(service), store::Encode(service));
  v1::Object secret;
  secret.mutable_secret()->mutable_metadata()->set_name("password");
  batch.Put(store::KeyOf(secret), store::Encode(secret));
  ASSERT_OK(store.Commit(batch).status());
  const HostFacts facts = Gather(Config(), store, clock);
  EXPECT_EQ(facts.secrets, 1);
  ASSERT_EQ(facts.closed_ports.size(), 1u);
  EXPECT_EQ(facts.closed_ports[0].service, "shop/web");
  EXPECT_EQ(facts.closed_ports[0].message, "port 1 is in use");
}

}  // namespace
}  // namespace bulwark::daemon
