// Attaching to real containers: many, slow ones, and terminals.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/local/testing/local_world.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;

constexpr absl::Duration kLong = absl::Seconds(20);

// With users of its own, and with the host's.
class AttachTest : public ::testing::TestWithParam<bool> {
 protected:
  AttachTest() {
    if (GetParam()) world_.SetIds({1879048192 + 10 * 65536, 65536});
  }
  LocalEngine& engine() { return world_.engine(); }

  ContainerSpec Reading(const std::string& script) {
    ContainerSpec spec = world_.Shell("a", script);
    spec.open_stdin = true;
    return spec;
  }

  std::unique_ptr<AttachSession> Attach(bool replay = false,
                                        bool patient = false) {
    AttachOptions options;
    options.input = true;
    options.replay = replay;
    options.patient = patient;
    auto session = engine().Attach("a", options);
    EXPECT_OK(session);
    return session.ok() ? *std::move(session) : nullptr;
  }

  // Output until `done`, or the end; false if neither comes.
  bool Read(AttachSession& session, std::string& out,
            const std::function<bool()>& done) {
    const absl::Duration deadline = world_.clock().Steady() + kLong;
    while (!done()) {
      if (world_.clock().Steady() > deadline) return false;
      const auto chunks = session.Read();
      if (!chunks.ok()) {
        end_ = chunks.status();
        return false;
      }
      for (const AttachChunk& chunk : *chunks) {
        out += chunk.is_error ? "<" + chunk.data + ">" : chunk.data;
      }
      pollfd fd = {session.fd(), POLLIN, 0};
      if (!done()) poll(&fd, 1, 100);
    }
    return true;
  }
  std::string ReadUntil(AttachSession& session, const std::string& text) {
    std::string out;
    Read(session, out, [&] { return out.find(text) != std::string::npos; });
    return out;
  }
  std::string ReadAll(AttachSession& session) {
    std::string out;
    Read(session, out, [] { return false; });
    return out;
  }
  void Write(AttachSession& session, absl::string_view data) {
    const absl::Duration deadline = world_.clock().Steady() + kLong;
    while (!data.empty()) {
      ASSERT_OK_AND_ASSIGN(const size_t n, session.Write(data));
      data.remove_prefix(n);
      ASSERT_LT(world_.clock().Steady(), deadline);
      if (n == 0) world_.clock().Sleep(absl::Milliseconds(1));
    }
  }
  void CloseInput(AttachSession& session) {
    const absl::Duration deadline = world_.clock().Steady() + kLong;
    for (;;) {
      ASSERT_OK_AND_ASSIGN(const bool closed, session.CloseInput());
      if (closed) return;
      ASSERT_LT(world_.clock().Steady(), deadline);
      world_.clock().Sleep(absl::Milliseconds(1));
    }
  }

  testing::LocalWorld world_;
  absl::Status end_;
};

INSTANTIATE_TEST_SUITE_P(Users, AttachTest, ::testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "Own" : "OfHost";
                         });

TEST_P(AttachTest, WhenASizeIsGiven_TheFirstCommandFindsIt) {
  ContainerSpec spec = Reading("stty size; exec sleep 1000");
  spec.terminal = true;
  spec.terminal_size = {31, 73};
  ASSERT_OK(engine().Start(spec));
  const auto session = Attach(/*replay=*/true);
  ASSERT_NE(session, nullptr);
  std::string out;
  EXPECT_TRUE(Read(*session, out, [&] { return out == "31 73\r\n"; })) << out;
  ExecSpec exec;
  exec.args = {"/bin/busybox", "stty", "size"};
  exec.terminal = true;
  exec.size = {20, 61};
  ASSERT_OK_AND_ASSIGN(const auto process, engine().Exec("a", exec));
  EXPECT_THAT(process->Wait(), ::bulwark::testing::IsOkAndHolds(0));
  char text[32] = {};
  EXPECT_EQ(read(process->output(), text, sizeof(text) - 1), 7);
  EXPECT_EQ(std::string(text), "20 61\r\n");
}

TEST_P(AttachTest, WhenMuchGoesThrough_NothingIsLost) {
  ASSERT_OK(engine().Start(Reading("exec cat")));
  auto session = Attach(true, true);
  std::string sent;
  for (int i = 0; sent.size() < (4 << 20); ++i) absl::StrAppend(&sent, i, "\n");
  std::string out;
  absl::string_view rest = sent;
  const absl::Duration deadline = world_.clock().Steady() + 3 * kLong;
  while (out.size() < sent.size() && world_.clock().Steady() < deadline) {
    ASSERT_OK_AND_ASSIGN(const size_t n, session->Write(rest));
    rest.remove_prefix(n);
    ASSERT_OK_AND_ASSIGN(const auto chunks, session->Read());
    for (const AttachChunk& chunk : chunks) out += chunk.data;
  }
  EXPECT_TRUE(out == sent);
  CloseInput(*session);
  ReadAll(*session);
  EXPECT_THAT(end_, StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_EQ(world_.AwaitExit("a").exit.code, 0);
}

TEST_P(AttachTest, WhenItPutsOutMuchAtOnce_TheFirstReaderGetsAll) {
  for (const int size : {3, 50000, 1000000}) {
    ContainerSpec spec =
        Reading(absl::StrCat("yes abcdefghi | head -c ", size, "; exit 7"));
    ASSERT_OK(engine().Start(spec));
    world_.clock().Sleep(absl::Milliseconds(300));
    auto session = Attach(true, true);
    const std::string out = ReadAll(*session);
    EXPECT_EQ(out.size(), static_cast<size_t>(size));
    EXPECT_EQ(out.substr(0, 3), "abc");
    EXPECT_EQ(world_.AwaitExit("a").exit.code, 7);
    ASSERT_OK(engine().Remove("a"));
  }
}

TEST_P(AttachTest, WhenNobodyComes_ItEndsAllTheSame) {
  ContainerSpec spec = Reading("echo out; exit 7");
  ASSERT_OK(engine().Start(spec));
  EXPECT_EQ(world_.AwaitExit("a").exit.code, 7);
  EXPECT_EQ(world_.Output("a"), "out\n");
}

TEST_P(AttachTest, WhenTheInputEnds_TheContainerSeesIt) {
  ASSERT_OK(
      engine().Start(Reading("while read -r line; do echo got $line; done; "
                             "echo out; echo err >&2; exit 7")));
  auto session = Attach();
  Write(*session, "one\ntwo\n");
  CloseInput(*session);
  const std::string out = ReadAll(*session);
  EXPECT_THAT(out, HasSubstr("got one\ngot two\nout\n"));
  EXPECT_THAT(out, HasSubstr("<err\n>"));
  EXPECT_EQ(world_.AwaitExit("a").exit.code, 7);
  EXPECT_EQ(world_.Output("a"), "got one\ngot two\nout\nerr\n");
}

TEST_P(AttachTest, WhenNobodyClosesTheInput_ItStaysOpen) {
  ASSERT_OK(engine().Start(Reading("read -r line; echo $line; read -r x")));
  Attach().reset();
  auto session = Attach();
  EXPECT_TRUE(session->has_input());
  Write(*session, "hello\n");
  EXPECT_EQ(ReadUntil(*session, "hello\n"), "hello\n");
}

TEST_P(AttachTest, WhenThereIsNoInput_ItIsEmpty) {
  ASSERT_OK(engine().Start(
      world_.Shell("a", "cat; echo end; while :; do sleep 1; done")));
  auto session = Attach();
  EXPECT_FALSE(session->has_input());
  EXPECT_OK(session->Write("lost\n").status());
}

// Of both streams, in their order.
TEST_P(AttachTest, WhenReplayed_TheNewestOutputComesFirst) {
  ASSERT_OK(engine().Start(
      Reading("echo old; seq 1 20000; echo e >&2; sleep 0.2; echo f; "
              "read -r x")));
  {
    auto watcher = Attach(true);
    ReadUntil(*watcher, "f\n");
  }
  auto session = Attach(true);
  const std::string out = ReadUntil(*session, "f\n");
  EXPECT_EQ(out.find("old"), std::string::npos);
  EXPECT_THAT(out, HasSubstr("19999\n20000\n"));
  EXPECT_THAT(out, HasSubstr("<e\n>"));
  EXPECT_GE(out.size(), 60u << 10);
  EXPECT_LE(out.size(), (64u << 10) + 2);
}

TEST_P(AttachTest, WhenAReaderIsSlow_ItIsDroppedAndNobodyWaits) {
  ASSERT_OK(engine().Start(
      Reading("read -r x; dd if=/dev/zero bs=64k count=320 2>/dev/null; "
              "echo done; read -r x")));
  auto slow = Attach();
  auto quick = Attach(false, true);
  Write(*quick, "go\n");
  const std::string out = ReadUntil(*quick, "done\n");
  EXPECT_GE(out.size(), 320u * (64 << 10));
  const std::string part = ReadAll(*slow);
  EXPECT_THAT(end_, StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_LT(part.size(), out.size());
  // It may come again.
  auto again = Attach();
  Write(*again, "end\n");
  ReadAll(*again);
  EXPECT_THAT(end_, StatusIs(absl::StatusCode::kOutOfRange));
}

TEST_P(AttachTest, WhenAPatientReaderIsSlow_NothingIsLost) {
  ASSERT_OK(engine().Start(
      Reading("read -r x; dd if=/dev/zero bs=64k count=160 2>/dev/null; "
              "echo done")));
  auto session = Attach(true, true);
  Write(*session, "go\n");
  world_.clock().Sleep(absl::Milliseconds(500));
  const std::string out = ReadAll(*session);
  EXPECT_EQ(out.size(), 160u * (64 << 10) + 5);
  EXPECT_THAT(end_, StatusIs(absl::StatusCode::kOutOfRange));
}

TEST_P(AttachTest, WhenAPatientReaderNeverReads_TheContainerEndsAllTheSame) {
  ASSERT_OK(engine().Start(
      Reading("read -r x; dd if=/dev/zero bs=64k count=160 2>/dev/null")));
  auto session = Attach(true, true);
  Write(*session, "go\n");
  EXPECT_OK(engine().Kill("a"));
  EXPECT_EQ(engine().Inspect("a")->exit.signal, SIGKILL);
}

TEST_P(AttachTest, WhenAHundredAreAttached_AllSeeTheSame) {
  ASSERT_OK(engine().Start(Reading("exec cat")));
  std::vector<std::unique_ptr<AttachSession>> sessions;
  for (int i = 0; i < 100; ++i) {
    sessions.push_back(Attach());
    ASSERT_NE(sessions.back(), nullptr);
  }
  Write(*sessions[50], "hello\n");
  for (auto& session : sessions) {
    EXPECT_EQ(ReadUntil(*session, "hello\n"), "hello\n");
  }
  while (sessions.size() < 128) sessions.push_back(Attach());
  EXPECT_THAT(engine().Attach("a", {}),
              StatusIs(absl::StatusCode::kResourceExhausted));
  sessions.clear();
  // The shim notices that they are gone.
  const absl::Duration deadline = world_.clock().Steady() + kLong;
  while (!engine().Attach("a", {}).ok()) {
    ASSERT_LT(world_.clock().Steady(), deadline);
    world_.clock().Sleep(absl::Milliseconds(5));
  }
}

TEST_P(AttachTest, WhenThereIsATerminal_ItIsOne) {
  ContainerSpec spec = world_.Shell(
      "a", "tty; read -r x; echo \"<$x>\"; stty size; cat; echo bye");
  spec.terminal = true;
  ASSERT_OK(engine().Start(spec));
  auto session = Attach(true);
  EXPECT_TRUE(session->terminal());
  EXPECT_THAT(ReadUntil(*session, "/dev/"), HasSubstr("/dev/"));
  ASSERT_OK(session->Resize(33, 77));
  Write(*session, "hello\r");
  EXPECT_THAT(ReadUntil(*session, "33 77"), HasSubstr("<hello>\r\n"));
  CloseInput(*session);
  EXPECT_THAT(ReadAll(*session), HasSubstr("bye"));
  EXPECT_EQ(world_.AwaitExit("a").exit.code, 0);
}

TEST_P(AttachTest, WhenTheContainerReadsNothing_InputWaitsAndOutputFlows) {
  ASSERT_OK(engine().Start(Reading("while :; do echo tick; sleep 0.05; done")));
  auto session = Attach();
  const std::string data(4096, 'x');
  size_t sent = 0;
  while (true) {
    ASSERT_OK_AND_ASSIGN(const size_t n, session->Write(data));
    if (n == 0) break;
    sent += n;
    ASSERT_LT(sent, 64u << 20);
  }
  EXPECT_THAT(ReadUntil(*session, "tick\ntick\n"), HasSubstr("tick\n"));
  auto other = Attach();
  EXPECT_THAT(ReadUntil(*other, "tick\n"), HasSubstr("tick\n"));
}

}  // namespace
}  // namespace bulwark::engine
