#include "engine/oci/cgroup/testing/fake_bus.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"

namespace bulwark::engine::oci {

using ::bulwark::testing::IsOk;

DbusMessage Reply(const DbusMessage& call) {
  DbusMessage reply;
  reply.type = DbusType::kReply;
  reply.serial = 100;
  reply.reply_serial = call.serial;
  return reply;
}

DbusMessage JobReply(const DbusMessage& call, const char* job) {
  DbusMessage reply = Reply(call);
  reply.signature = "o";
  DbusWriter body;
  body.String(job);
  reply.body = body.Take();
  return reply;
}

DbusMessage Error(const DbusMessage& call, const char* name, const char* text) {
  DbusMessage error = Reply(call);
  error.type = DbusType::kError;
  error.error = name;
  error.signature = "s";
  DbusWriter body;
  body.String(text);
  error.body = body.Take();
  return error;
}

DbusMessage JobRemoved(const char* job, const char* result) {
  DbusMessage signal;
  signal.type = DbusType::kSignal;
  signal.serial = 101;
  signal.path = "/org/freedesktop/systemd1";
  signal.interface = "org.freedesktop.systemd1.Manager";
  signal.member = "JobRemoved";
  signal.signature = "uoss";
  DbusWriter body;
  body.Uint32(7);
  body.String(job);
  body.String("web.scope");
  body.String(result);
  signal.body = body.Take();
  return signal;
}

FakeBus::FakeBus(Answer answer, std::string hello)
    : answer_(std::move(answer)), hello_(std::move(hello)) {
  sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = {}};
  strncpy(name.sun_path, (dir_ / "bus").c_str(), sizeof(name.sun_path) - 1);
  listener_.Reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(
      bind(listener_.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)),
      0);
  EXPECT_EQ(listen(listener_.get(), 8), 0);
  setenv("DBUS_SYSTEM_BUS_ADDRESS",
         absl::StrCat("unix:path=", dir_ / "bus").c_str(), 1);
  thread_ = std::thread([this] { Serve(); });
}

FakeBus::~FakeBus() {
  stop_ = true;
  thread_.join();
  unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
}

bool FakeBus::Wait(int fd) {
  pollfd poll_fd = {fd, POLLIN, 0};
  while (!stop_) {
    if (poll(&poll_fd, 1, 20) > 0) return true;
  }
  return false;
}

bool FakeBus::Fill(int fd, std::string& buffer) {
  char bytes[4096];
  if (!Wait(fd)) return false;
  const ssize_t n = read(fd, bytes, sizeof(bytes));
  if (n <= 0) return false;
  buffer.append(bytes, static_cast<size_t>(n));
  return true;
}

bool FakeBus::Write(int fd, const std::string& bytes) {
  return send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(bytes.size());
}

void FakeBus::Serve() {
  while (Wait(listener_.get())) {
    const UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (fd.ok()) Talk(fd.get());
  }
}

bool FakeBus::Greet(int fd, std::string& in) {
  while (in.find("\r\n") == std::string::npos) {
    if (!Fill(fd, in)) return false;
  }
  EXPECT_EQ(in, absl::StrCat(absl::string_view("\0", 1), "AUTH EXTERNAL ",
                             absl::BytesToHexString(absl::StrCat(geteuid())),
                             "\r\n"));
  if (!Write(fd, hello_)) return false;
  in.clear();
  while (in.find("BEGIN\r\n") == std::string::npos) {
    if (!Fill(fd, in)) return false;
  }
  in.erase(0, in.find("BEGIN\r\n") + strlen("BEGIN\r\n"));
  return true;
}

void FakeBus::Talk(int fd) {
  std::string in;
  if (!Greet(fd, in)) return;
  for (;;) {
    while (in.size() < kDbusPrefix || in.size() < *DbusMessageSize(in)) {
      if (!Fill(fd, in)) return;
    }
    const std::string bytes = in.substr(0, *DbusMessageSize(in));
    in.erase(0, bytes.size());
    const absl::StatusOr<DbusMessage> call = ParseDbus(bytes);
    EXPECT_THAT(call, IsOk());
    if (!call.ok()) return;
    std::vector<DbusMessage> answers = {Reply(*call)};
    if (call->destination == "org.freedesktop.systemd1") {
      members.push_back(call->member);
      last_bytes = bytes;
      answers = answer_(*call);
      if (answers.empty()) return;
    }
    for (const DbusMessage& answer : answers) {
      if (!Write(fd, MarshalDbus(answer))) return;
    }
  }
}

}  // namespace bulwark::engine::oci
