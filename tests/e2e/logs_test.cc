// ctl logs: of many replicas, and across what happens to them and the daemon.

#include <signal.h>

#include <algorithm>
#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/e2e/session.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

// A prefix of every line of `count`'s replicas: "REPLICA | line N".
using Numbers = std::map<std::string, std::vector<int>>;

class LogsTest : public Suite {
 protected:
  static void SetUpTestSuite() {
    Open("e2elog");
    world().Apply(Manifest("count",
                           "trap \"exit 0\" TERM; i=0; while :; do "
                           "echo line $i; i=$((i+1)); sleep 0.05; done",
                           "replicas: 2\n"));
    world().Apply(Manifest("quiet",
                           "for i in 1 2 3; do echo out $i; echo err $i >&2; "
                           "done; exec sleep 1000"));
  }
  static void TearDownTestSuite() { Close(); }
  void SetUp() override {
    Suite::SetUp();
    ASSERT_TRUE(world().AwaitReady("count", 2));
    ASSERT_TRUE(world().AwaitReady("quiet", 1));
    // It is ready before it has printed anything.
    ASSERT_TRUE(Eventually([] {
      const Result logs = world().Ctl({"logs", "quiet"});
      return Lines(logs.out).size() == 3 && Lines(logs.err).size() == 3;
    }));
  }

  static std::vector<std::string> Lines(const std::string& text) {
    return absl::StrSplit(text, '\n', absl::SkipEmpty());
  }

  static Numbers Parse(const std::string& text) {
    Numbers numbers;
    for (const std::string& line : Lines(text)) {
      const std::pair<std::string, std::string> parts =
          absl::StrSplit(line, absl::MaxSplits(" | line ", 1));
      int number;
      // The last line may be half printed.
      if (!absl::SimpleAtoi(parts.second, &number)) continue;
      numbers[parts.first].push_back(number);
    }
    return numbers;
  }

  // Each replica's lines come in order, each once.
  static void ExpectWhole(const Numbers& numbers) {
    for (const auto& [replica, lines] : numbers) {
      for (size_t i = 1; i < lines.size(); ++i) {
        ASSERT_EQ(lines[i], lines[i - 1] + 1) << replica << " at " << i;
      }
    }
  }

  static bool AwaitLine(Session& logs, const std::string& replica, int number) {
    return Eventually([&] {
      const Numbers numbers = Parse(logs.Out());
      auto it = numbers.find(replica);
      return it != numbers.end() && !it->second.empty() &&
             it->second.back() >= number;
    });
  }
};

TEST_F(LogsTest, WhenRead_TheStreamsStayApart) {
  const Result all = Ctl({"logs", "quiet"});
  EXPECT_EQ(all.out, "out 1\nout 2\nout 3\n");
  EXPECT_EQ(all.err, "err 1\nerr 2\nerr 3\n");
  const Result tail = Ctl({"logs", "quiet", "--tail", "2"});
  // The two streams are two pipes: which is read first is left to chance.
  EXPECT_THAT(Lines(tail.out + tail.err), SizeIs(2));
  EXPECT_EQ(Ctl({"logs", "quiet", "--tail", "0"}).out, "");
}

TEST_F(LogsTest, WhenThereAreManyReplicas_EachLineNamesItsOwn) {
  // Each has written that much.
  ASSERT_TRUE(Eventually([] {
    const Numbers all = Parse(world().Ctl({"logs", "count", "--prefix"}).out);
    return all.size() == 2 &&
           std::all_of(all.begin(), all.end(), [](const auto& replica) {
             return replica.second.size() >= 2;
           });
  }));
  const Result tail = Ctl({"logs", "count", "--tail", "2", "--prefix"});
  const Numbers numbers = Parse(tail.out);
  EXPECT_THAT(numbers, SizeIs(2)) << tail.out;
  for (const ReplicaInfo& replica : world().Ready("count")) {
    EXPECT_THAT(numbers.at(replica.name), SizeIs(2)) << tail.out;
  }
  const std::string one = world().Ready("count").at(1).name;
  EXPECT_THAT(Parse(Ctl({"logs", one, "--prefix"}).out), SizeIs(1));
  EXPECT_THAT(Lines(Ctl({"logs", "quiet", "--since", "1h", "-t"}).out).at(0),
              ::testing::MatchesRegex("20.*T.*:.*Z out 1"));
  EXPECT_EQ(Ctl({"logs", "quiet", "--since", "2100-01-01T00:00:00Z"}).out, "");
}

TEST_F(LogsTest, WhenAReplicaIsReplaced_FollowsTheNewOne) {
  Session logs(world(), {"logs", "-f", "--prefix", "--tail", "1", "count"});
  const ReplicaInfo victim = world().Ready("count").at(0);
  ASSERT_TRUE(AwaitLine(logs, victim.name, 1)) << logs.ToString();
  ASSERT_EQ(kill(victim.pid, SIGKILL), 0);
  std::string heir;
  ASSERT_TRUE(Eventually([&] {
    for (const ReplicaInfo& r : world().Ready("count")) {
      if (r.slot == victim.slot && r.uid != victim.uid) heir = r.name;
    }
    return !heir.empty();
  }));
  ASSERT_TRUE(AwaitLine(logs, heir, 5)) << logs.ToString();
  logs.Signal(SIGKILL);
  logs.Wait();
  const Numbers numbers = Parse(logs.Out());
  ExpectWhole(numbers);
  EXPECT_EQ(numbers.at(heir).front(), 0);
}

TEST_F(LogsTest, WhenTheDaemonIsKilled_NoLineIsLostOrRepeated) {
  Session logs(world(), {"logs", "-f", "--prefix", "--tail", "1", "count"});
  const std::vector<ReplicaInfo> replicas = world().Ready("count");
  ASSERT_TRUE(AwaitLine(logs, replicas.at(0).name, 1)) << logs.ToString();
  for (const bool slow : {false, true}) {
    const int before = Parse(logs.Out()).at(replicas.at(0).name).back();
    world().KillDaemon();
    if (slow) {
      EXPECT_TRUE(logs.AwaitErr("bulwarkd does not answer"));
    }
    world().StartDaemon();
    for (const ReplicaInfo& r : replicas) {
      EXPECT_TRUE(AwaitLine(logs, r.name, before + 10)) << logs.ToString();
    }
  }
  logs.Signal(SIGKILL);
  logs.Wait();
  const Numbers numbers = Parse(logs.Out());
  for (const ReplicaInfo& r : replicas) EXPECT_EQ(numbers.count(r.name), 1);
  ExpectWhole(numbers);
}

TEST_F(LogsTest, WhenTheServiceIsDeleted_FollowingEnds) {
  world().Apply(Manifest("brief", "echo hello; exec sleep 1000"));
  ASSERT_TRUE(world().AwaitReady("brief", 1));
  Session logs(world(), {"logs", "-f", "brief"});
  ASSERT_TRUE(logs.AwaitOut("hello\n"));
  Ctl({"delete", "service", "brief", "--wait"});
  EXPECT_EQ(logs.Wait(), 0) << logs.ToString();
  EXPECT_EQ(CtlFails({"logs", "brief"}).err,
            "error: read logs of brief: no service, replica or job of project "
            "default has this name\n");
}

TEST_F(LogsTest, WhenTheRequestIsWrong_SaysWhatIsThere) {
  const Result container = CtlFails({"logs", "quiet", "-c", "nope"});
  EXPECT_THAT(container.err, HasSubstr("hint: it has: quiet"));
  EXPECT_EQ(CtlFails({"logs", "quiet", "--tail", "x"}, 2).err,
            "error: \"x\" is no number for --tail\n");
  CtlFails({"logs", "quiet", "--since", "soon"}, 2);
  CtlFails({"logs", "network/default"}, 2);
}

}  // namespace
}  // namespace bulwark::e2e
