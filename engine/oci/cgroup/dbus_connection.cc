#include "engine/oci/cgroup/dbus_connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"

namespace bulwark::engine::oci {
namespace {

constexpr const char* kUsualPlace = "/run/dbus/system_bus_socket";
constexpr const char* kAddressVariable = "DBUS_SYSTEM_BUS_ADDRESS";
constexpr size_t kMaxLine = 1024;
constexpr size_t kMaxSignals = 10000;

// Of "unix:path=/a,guid=1;unix:…" the first path; empty if there is none.
std::string PathOf(absl::string_view address) {
  for (absl::string_view server : absl::StrSplit(address, ';')) {
    if (!absl::ConsumePrefix(&server, "unix:")) continue;
    for (absl::string_view pair : absl::StrSplit(server, ',')) {
      if (absl::ConsumePrefix(&pair, "path=")) return std::string(pair);
    }
  }
  return "";
}

}  // namespace

absl::StatusOr<DbusConnection> DbusConnection::Open(absl::Duration timeout,
                                                    Clock& clock) {
  DbusConnection connection(clock, clock.Steady() + timeout);
  RETURN_IF_ERROR(connection.Connect());
  RETURN_IF_ERROR(connection.Authenticate());
  RETURN_IF_ERROR(connection.Hello());
  return connection;
}

absl::Status DbusConnection::Connect() {
  const char* variable = getenv(kAddressVariable);
  address_ = variable == nullptr ? kUsualPlace : PathOf(variable);
  sockaddr_un name;
  memset(&name, 0, sizeof(name));
  name.sun_family = AF_UNIX;
  if (address_.empty() || address_.size() >= sizeof(name.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "read $", kAddressVariable, ": \"", variable == nullptr ? "" : variable,
        "\" has no unix:path= that a socket can have"));
  }
  memcpy(name.sun_path, address_.data(), address_.size());
  socket_.Reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket_.ok()) return ErrnoStatus("make a socket for", address_);
  if (connect(socket_.get(), reinterpret_cast<sockaddr*>(&name),
              sizeof(name)) != 0) {
    return absl::UnavailableError(
        absl::StrCat("connect to ", address_, ": ", strerror(errno)));
  }
  return absl::OkStatus();
}

// The kernel tells the bus our user; the name we give has only to agree.
absl::Status DbusConnection::Authenticate() {
  const std::string uid = absl::BytesToHexString(absl::StrCat(geteuid()));
  RETURN_IF_ERROR(Send(
      absl::StrCat(absl::string_view("\0", 1), "AUTH EXTERNAL ", uid, "\r\n")));
  size_t end;
  while ((end = buffer_.find("\r\n")) == std::string::npos) {
    if (buffer_.size() > kMaxLine) {
      return absl::DataLossError(
          absl::StrCat("say who we are to ", address_, ": it is no bus"));
    }
    RETURN_IF_ERROR(Fill());
  }
  const std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 2);
  if (!absl::StartsWith(line, "OK ")) {
    return absl::PermissionDeniedError(
        absl::StrCat("say who we are to ", address_, ": it answers \"",
                     absl::CHexEscape(line), "\""));
  }
  return Send("BEGIN\r\n");
}

absl::Status DbusConnection::Hello() {
  DbusMessage call;
  call.path = "/org/freedesktop/DBus";
  call.interface = "org.freedesktop.DBus";
  call.member = "Hello";
  call.destination = "org.freedesktop.DBus";
  ASSIGN_OR_RETURN(const DbusMessage reply, Call(std::move(call)));
  if (reply.type == DbusType::kError) {
    return DbusErrorStatus(reply, absl::StrCat("join the bus ", address_));
  }
  return absl::OkStatus();
}

absl::Status DbusConnection::Send(absl::string_view bytes) {
  // Some hundred bytes into an empty socket: that does not block.
  while (!bytes.empty()) {
    const ssize_t n =
        send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      return absl::UnavailableError(
          absl::StrCat("send to ", address_, ": ", strerror(errno)));
    }
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::Status DbusConnection::Fill() {
  for (;;) {
    const absl::Duration left = deadline_ - clock_->Steady();
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError(
          absl::StrCat("wait for an answer on ", address_, ": time ran out"));
    }
    pollfd poll_fd = {socket_.get(), POLLIN, 0};
    const timespec limit = absl::ToTimespec(left);
    if (ppoll(&poll_fd, 1, &limit, nullptr) <= 0) continue;
    char bytes[4096];
    const ssize_t n = recv(socket_.get(), bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) {
      return absl::UnavailableError(
          absl::StrCat("read from ", address_, ": ",
                       n == 0 ? "the bus hung up" : strerror(errno)));
    }
    buffer_.append(bytes, static_cast<size_t>(n));
    return absl::OkStatus();
  }
}

absl::StatusOr<DbusMessage> DbusConnection::Receive() {
  while (buffer_.size() < kDbusPrefix) RETURN_IF_ERROR(Fill());
  ASSIGN_OR_RETURN(const size_t size, DbusMessageSize(buffer_));
  while (buffer_.size() < size) RETURN_IF_ERROR(Fill());
  ASSIGN_OR_RETURN(DbusMessage message,
                   ParseDbus(absl::string_view(buffer_).substr(0, size)));
  buffer_.erase(0, size);
  return message;
}

absl::StatusOr<DbusMessage> DbusConnection::Call(DbusMessage call) {
  call.type = DbusType::kCall;
  call.serial = ++serial_;
  RETURN_IF_ERROR(Send(MarshalDbus(call)));
  for (;;) {
    ASSIGN_OR_RETURN(DbusMessage message, Receive());
    if (message.type == DbusType::kSignal) {
      if (signals_.size() < kMaxSignals) signals_.push_back(std::move(message));
    } else if (message.type != DbusType::kCall &&
               message.reply_serial == call.serial) {
      return message;
    }
  }
}

absl::StatusOr<DbusMessage> DbusConnection::AwaitSignal(
    const std::function<bool(const DbusMessage&)>& matches) {
  for (;;) {
    while (!signals_.empty()) {
      DbusMessage signal = std::move(signals_.front());
      signals_.pop_front();
      if (matches(signal)) return signal;
    }
    ASSIGN_OR_RETURN(DbusMessage message, Receive());
    if (message.type == DbusType::kSignal) {
      signals_.push_back(std::move(message));
    }
  }
}

absl::Status DbusErrorStatus(const DbusMessage& error,
                             absl::string_view context) {
  const std::string text = error.signature.empty() || error.signature[0] != 's'
                               ? std::string()
                               : DbusReader(error.body).String();
  const std::string message = absl::StrCat(
      context, ": ", text, text.empty() ? "" : " ", "(", error.error, ")");
  if (absl::EndsWith(error.error, ".AccessDenied") ||
      absl::EndsWith(error.error, ".InteractiveAuthorizationRequired")) {
    return absl::PermissionDeniedError(message);
  }
  if (absl::EndsWith(error.error, ".UnitExists")) {
    return absl::AlreadyExistsError(message);
  }
  if (absl::EndsWith(error.error, ".NoSuchUnit")) {
    return absl::NotFoundError(message);
  }
  if (absl::EndsWith(error.error, ".InvalidArgs")) {
    return absl::InvalidArgumentError(message);
  }
  if (absl::EndsWith(error.error, ".ServiceUnknown")) {
    return absl::UnavailableError(message);
  }
  return absl::InternalError(message);
}

}  // namespace bulwark::engine::oci
