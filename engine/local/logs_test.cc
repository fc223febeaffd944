// Logs of real containers, with every driver. Needs root and busybox-static.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "base/unique_fd.h"
#include "engine/local/testing/local_world.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;
using testing::LocalWorld;
using ::testing::Not;

class LogsTest : public ::testing::Test {
 protected:
  void Start(const ContainerSpec& spec) {
    ASSERT_OK(world_.engine().Start(spec));
  }
  std::string Path(const std::string& id) {
    return world_.config().state_dir + "/containers/" + id;
  }
  std::vector<std::string> LogNames(const std::string& id) {
    std::vector<std::string> names;
    for (const std::string& name :
         os::ListDir(Path(id)).value_or(std::vector<std::string>())) {
      if (absl::StartsWith(name, "log")) names.push_back(name);
    }
    return names;
  }

  LocalWorld world_;
};

TEST_F(LogsTest, WhenLogIsLong_RotatesAndKeepsTheEnd) {
  ContainerSpec spec = world_.Shell("a", "seq 1 2000; echo end >&2");
  spec.log = {8 << 10, 3};
  Start(spec);
  world_.AwaitExit("a");
  int64_t total = 0;
  const std::vector<std::string> names = LogNames("a");
  EXPECT_EQ(names.size(), 3u);
  for (const std::string& name : names) {
    struct stat st;
    ASSERT_EQ(stat((Path("a") + "/" + name).c_str(), &st), 0) << name;
    EXPECT_LE(st.st_size, 8 << 10);
    total += st.st_size;
  }
  EXPECT_GT(total, 16 << 10);
  const std::string output = world_.Output("a");
  EXPECT_THAT(output, HasSubstr("1999\n2000\nend\n"));
  EXPECT_THAT(output, Not(HasSubstr("\n100\n")));
  LogOptions last;
  last.tail = 400;  // over more than one file
  ASSERT_OK_AND_ASSIGN(auto reader, world_.engine().Logs("a", last));
  ASSERT_OK_AND_ASSIGN(LogEntry entry, reader->Next(absl::Seconds(1)));
  EXPECT_EQ(entry.line, "1602");
}

TEST_F(LogsTest, WhenRotatedWhileFollowed_NoLineIsMissed) {
  ContainerSpec spec =
      world_.Shell("a", "for i in $(seq 1 500); do echo line $i; done");
  spec.log = {4 << 10, 1000};
  Start(spec);
  LogOptions follow;
  follow.follow = true;
  ASSERT_OK_AND_ASSIGN(auto reader, world_.engine().Logs("a", follow));
  for (int i = 1; i <= 500; ++i) {
    ASSERT_OK_AND_ASSIGN(LogEntry entry, reader->Next(absl::Seconds(10)));
    ASSERT_EQ(entry.line, absl::StrCat("line ", i));
  }
  EXPECT_THAT(reader->Next(absl::Seconds(10)),
              StatusIs(absl::StatusCode::kOutOfRange));
}

TEST_F(LogsTest, WhenALineIsHuge_ComesInParts) {
  Start(world_.Shell("a", "head -c 40000 /dev/zero; echo; printf unfinished"));
  world_.AwaitExit("a");
  ASSERT_OK_AND_ASSIGN(auto reader, world_.engine().Logs("a", {}));
  size_t size = 0;
  for (const bool partial : {true, true, false}) {
    ASSERT_OK_AND_ASSIGN(LogEntry entry, reader->Next(absl::Seconds(1)));
    EXPECT_EQ(entry.partial, partial);
    size += entry.line.size();
  }
  EXPECT_EQ(size, 40000u);
  ASSERT_OK_AND_ASSIGN(LogEntry entry, reader->Next(absl::Seconds(1)));
  EXPECT_EQ(entry.line, "unfinished");
}

TEST_F(LogsTest, WhenJson_TheFilesAreDockers) {
  ContainerSpec spec = world_.Shell("a", "echo out; echo err >&2; seq 500");
  spec.log = {8 << 10, 3, LogDriver::kJsonFile};
  ASSERT_OK_AND_ASSIGN(const ContainerInfo info, world_.engine().Start(spec));
  EXPECT_EQ(info.log_path, Path("a"));
  world_.AwaitExit("a");
  EXPECT_EQ(LogNames("a").size(), 3u);
  for (const std::string& name : LogNames("a")) {
    EXPECT_TRUE(absl::EndsWith(name, ".json")) << name;
  }
  EXPECT_THAT(world_.Output("a"), HasSubstr("\n499\n500\n"));
}

TEST_F(LogsTest, WhenNone_NothingIsKept) {
  ContainerSpec spec = world_.Shell("a", "yes | head -c 1000000");
  spec.log.driver = LogDriver::kNone;
  Start(spec);
  EXPECT_EQ(world_.AwaitExit("a").exit.code, 0);
  EXPECT_TRUE(LogNames("a").empty());
  // Also to a process that comes after us.
  world_.Reopen();
  ASSERT_OK(world_.engine().Recover([](absl::string_view) {}));
  EXPECT_THAT(world_.engine().Logs("a", {}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("log driver is none")));
}

TEST_F(LogsTest, WhenJournald_TheJournalGetsIt) {
  const std::string path = world_ / "journal";
  const UniqueFd journal(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(journal.get(), reinterpret_cast<sockaddr*>(&address),
                 sizeof(address)),
            0);
  world_.config().journal_socket = path;
  world_.Reopen();
  ContainerSpec spec = world_.Shell("a", "echo hello");
  spec.log.driver = LogDriver::kJournald;
  spec.log.name = "default/web-0/web";
  ASSERT_OK_AND_ASSIGN(const ContainerInfo info, world_.engine().Start(spec));
  EXPECT_EQ(info.log_path, "");
  world_.AwaitExit("a");
  char buffer[4096];
  const ssize_t n = recv(journal.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
  ASSERT_GT(n, 0);
  const std::string record(buffer, static_cast<size_t>(n));
  for (const char* field :
       {"CONTAINER_ID=a\n", "CONTAINER_ID_FULL=a\n",
        "CONTAINER_NAME=default/web-0/web\n",
        "SYSLOG_IDENTIFIER=default/web-0/web\n", "PRIORITY=6\n", "hello\n"}) {
    EXPECT_THAT(record, HasSubstr(field));
  }
  EXPECT_TRUE(LogNames("a").empty());
}

// Nobody takes its records, and it writes as fast as it can.
TEST_F(LogsTest, WhenTheJournalIsNotThere_TheContainerRunsOn) {
  world_.config().journal_socket = "/no/such/socket";
  world_.Reopen();
  ContainerSpec spec = world_.Shell("a", "seq 100000");
  spec.log.driver = LogDriver::kJournald;
  Start(spec);
  EXPECT_EQ(world_.AwaitExit("a").exit.code, 0);
}

TEST_F(LogsTest, WhenRotated_OldFilesAreCompressedInTheBackground) {
  world_.config().compress_every = absl::Milliseconds(20);
  world_.Reopen();
  ASSERT_OK(world_.engine().Recover([](absl::string_view) {}));
  ContainerSpec spec = world_.Obedient("a");
  spec.log = {64 << 10, 100};
  Start(spec);
  world_.Command("a", "seq 20000");
  world_.Command("a", "say done");
  LogOptions options;
  options.follow = true;
  ASSERT_OK_AND_ASSIGN(auto reader, world_.engine().Logs("a", options));
  for (int i = 1; i <= 20000; ++i) {
    ASSERT_OK_AND_ASSIGN(LogEntry entry, reader->Next(absl::Seconds(10)));
    ASSERT_EQ(entry.line, absl::StrCat(i));
  }
  const absl::Duration deadline = world_.clock().Steady() + absl::Seconds(20);
  const auto plain = [this] {
    int count = 0;
    for (const std::string& name : LogNames("a")) {
      if (!absl::EndsWith(name, ".gz")) ++count;
    }
    return count;
  };
  while (plain() > 1 && world_.clock().Steady() < deadline) {
    world_.clock().Sleep(absl::Milliseconds(5));
  }
  EXPECT_EQ(plain(), 1);
  EXPECT_GT(LogNames("a").size(), 5u);
  options.follow = false;
  options.tail = 15001;
  ASSERT_OK_AND_ASSIGN(reader, world_.engine().Logs("a", options));
  ASSERT_OK_AND_ASSIGN(LogEntry entry, reader->Next(absl::Seconds(10)));
  EXPECT_EQ(entry.line, "5001");
}

}  // namespace
}  // namespace bulwark::engine
