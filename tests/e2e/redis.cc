#include "tests/e2e/redis.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"
#include "base/status.h"
#include "tests/e2e/process.h"

namespace bulwark::e2e {
namespace {

// Longer than a rollout of the service holds connections.
constexpr time_t kPatienceSeconds = 60;
constexpr absl::Duration kBetweenRows = absl::Milliseconds(2);
constexpr absl::Duration kBetweenAttempts = absl::Milliseconds(50);
constexpr int64_t kRowsAtOnce = 500;

std::string KeyOf(int64_t row) { return absl::StrCat("row:", row); }
std::string ValueOf(int64_t row) {
  return absl::StrCat("value-", row, "-", row * 7919 % 104729);
}

absl::Status Broken(const char* what) {
  return absl::UnavailableError(
      absl::StrCat(what, ": ", errno == 0 ? "closed" : strerror(errno)));
}

}  // namespace

absl::StatusOr<Redis> Redis::Connect(int port, const std::string& password) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  const timeval patience{kPatienceSeconds, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
              sizeof(address)) != 0) {
    return Broken("connect");
  }
  Redis redis(std::move(fd));
  const absl::Status status = redis.Call({"AUTH", password}).status();
  if (absl::StrContains(status.message(), "WRONGPASS")) {
    return absl::PermissionDeniedError(status.message());
  }
  RETURN_IF_ERROR(status);
  return redis;
}

absl::StatusOr<std::string> Redis::Call(const std::vector<std::string>& words) {
  std::string request = absl::StrCat("*", words.size(), "\r\n");
  for (const std::string& word : words) {
    absl::StrAppend(&request, "$", word.size(), "\r\n", word, "\r\n");
  }
  for (size_t sent = 0; sent < request.size();) {
    errno = 0;
    const ssize_t n = send(fd_.get(), request.data() + sent,
                           request.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return Broken("send");
    sent += static_cast<size_t>(n);
  }
  return Reply();
}

absl::StatusOr<std::string> Redis::Bytes(size_t size) {
  while (buffer_.size() < size) {
    char piece[4096];
    errno = 0;
    const ssize_t n = recv(fd_.get(), piece, sizeof(piece), 0);
    if (n <= 0) return Broken("receive");
    buffer_.append(piece, static_cast<size_t>(n));
  }
  std::string out = buffer_.substr(0, size);
  buffer_.erase(0, size);
  return out;
}

absl::StatusOr<std::string> Redis::Line() {
  size_t end;
  while ((end = buffer_.find("\r\n")) == std::string::npos) {
    ASSIGN_OR_RETURN(const std::string more, Bytes(buffer_.size() + 1));
    buffer_.insert(0, more);
  }
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 2);
  return line;
}

absl::StatusOr<std::string> Redis::Reply() {
  ASSIGN_OR_RETURN(const std::string line, Line());
  if (line.empty()) return absl::InternalError("an empty answer");
  const std::string rest = line.substr(1);
  int64_t count = 0;
  switch (line[0]) {
    case '+':
    case ':':
      return rest;
    case '-':
      return absl::InternalError(rest);
    case '$': {
      if (!absl::SimpleAtoi(rest, &count) || count < 0) return std::string();
      ASSIGN_OR_RETURN(std::string bytes,
                       Bytes(static_cast<size_t>(count) + 2));
      bytes.resize(static_cast<size_t>(count));
      return bytes;
    }
    case '*': {
      std::string all;
      if (!absl::SimpleAtoi(rest, &count)) return all;
      for (int64_t i = 0; i < count; ++i) {
        ASSIGN_OR_RETURN(const std::string element, Reply());
        absl::StrAppend(&all, element, "\n");
      }
      return all;
    }
    default:
      return absl::InternalError(absl::StrCat("not an answer: ", line));
  }
}

RowWriter::RowWriter(int port, std::string password_file, std::string record,
                     int64_t first)
    : port_(port),
      password_file_(std::move(password_file)),
      record_(
          open(record.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)),
      acknowledged_(first),
      thread_([this] { Run(); }) {
  CHECK(record_.ok());
}

RowWriter::~RowWriter() {
  stop_ = true;
  thread_.join();
}

bool RowWriter::AwaitMore(int64_t more, absl::Duration timeout) {
  const int64_t wanted = acknowledged_ + more;
  return Eventually([&] { return acknowledged_ >= wanted; }, timeout);
}

void RowWriter::Pause() {
  absl::MutexLock lock(&mu_);
  paused_ = true;
  auto idle = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !writing_; };
  mu_.Await(absl::Condition(&idle));
}

void RowWriter::Resume() {
  absl::MutexLock lock(&mu_);
  paused_ = false;
}

std::string RowWriter::last_error() const {
  absl::MutexLock lock(&mu_);
  return last_error_;
}

// The record is on disk before anybody hears of the row.
absl::Status RowWriter::Write(Redis& redis, int64_t row) {
  ASSIGN_OR_RETURN(const std::string answer,
                   redis.Call({"SET", KeyOf(row), ValueOf(row)}));
  if (answer != "OK") return absl::InternalError(answer);
  const std::string line = absl::StrCat(row, "\n");
  CHECK(write(record_.get(), line.data(), line.size()) ==
        static_cast<ssize_t>(line.size()));
  CHECK(fdatasync(record_.get()) == 0);
  acknowledged_ = row + 1;
  return absl::OkStatus();
}

void RowWriter::Run() {
  absl::StatusOr<Redis> redis = absl::UnavailableError("not connected");
  while (!stop_) {
    bool may = false;
    {
      absl::MutexLock lock(&mu_);
      may = writing_ = !paused_;
    }
    absl::Status status;
    if (may && !redis.ok()) {
      redis = Redis::Connect(port_, ReadFile(password_file_));
      if (redis.ok()) ++connections_;
      status = redis.status();
    }
    if (may && status.ok()) status = Write(*redis, acknowledged_);
    // Whatever it was: the next attempt begins with a new connection.
    if (!status.ok()) redis = status;
    {
      absl::MutexLock lock(&mu_);
      writing_ = false;
      if (!status.ok()) last_error_ = status.ToString();
    }
    e2e::Pause(status.ok() ? kBetweenRows : kBetweenAttempts);
  }
}

std::string RowWriter::Check(int port, const std::string& password,
                             int64_t count) {
  absl::StatusOr<Redis> redis = Redis::Connect(port, password);
  if (!redis.ok()) return redis.status().ToString();
  int64_t lost = 0;
  std::string first;
  for (int64_t row = 0; row < count; row += kRowsAtOnce) {
    const int64_t end = std::min(count, row + kRowsAtOnce);
    std::vector<std::string> command = {"MGET"};
    for (int64_t i = row; i < end; ++i) command.push_back(KeyOf(i));
    const absl::StatusOr<std::string> answer = redis->Call(command);
    if (!answer.ok()) return answer.status().ToString();
    const std::vector<std::string> values = absl::StrSplit(*answer, '\n');
    for (int64_t i = row; i < end; ++i) {
      const std::string& value = values[static_cast<size_t>(i - row)];
      if (value == ValueOf(i)) continue;
      if (lost++ == 0) first = absl::StrCat("row ", i, " is \"", value, "\"");
    }
  }
  return lost == 0
             ? ""
             : absl::StrCat(lost, " of ", count, " rows are lost: ", first);
}

int64_t RowWriter::Recorded(const std::string& record) {
  const std::vector<std::string> lines =
      absl::StrSplit(ReadFile(record), '\n', absl::SkipEmpty());
  return static_cast<int64_t>(lines.size());
}

}  // namespace bulwark::e2e
