#include "lb/probe/probe.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "lb/socket_address.h"

namespace bulwark::lb {
namespace {

constexpr size_t kMaxAnswerBytes = 4096;

// One connection with a deadline. Errors are for people.
class Connection {
 public:
  Connection(Clock& clock, absl::Duration timeout)
      : clock_(clock), timeout_(timeout), deadline_(clock.Steady() + timeout) {}

  absl::Status Open(const SocketFactory& open_socket,
                    const SocketAddress& address) {
    const std::string name = address.ToString();
    ASSIGN_OR_RETURN(
        fd_, open_socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int flags = fcntl(fd_.get(), F_GETFL);
    if (flags < 0 || fcntl(fd_.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
      return ErrnoStatus("prepare socket for", name);
    }
    if (connect(fd_.get(), address.get(), address.size()) == 0) {
      return absl::OkStatus();
    }
    if (errno != EINPROGRESS) return ErrnoStatus("connect", name);
    RETURN_IF_ERROR(WaitFor(POLLOUT, absl::StrCat("connect ", name)));
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return ErrnoStatus(error, "connect", name);
    return absl::OkStatus();
  }

  absl::Status Send(absl::string_view data) {
    while (!data.empty()) {
      const ssize_t n = send(fd_.get(), data.data(), data.size(), MSG_NOSIGNAL);
      if (n >= 0) {
        data.remove_prefix(n);
      } else if (errno == EAGAIN) {
        RETURN_IF_ERROR(WaitFor(POLLOUT, "send request"));
      } else if (errno != EINTR) {
        return ErrnoStatus("send", "request");
      }
    }
    return absl::OkStatus();
  }

  // The answer up to the end of its first line, or to kMaxAnswerBytes.
  absl::StatusOr<std::string> ReceiveLine() {
    std::string text;
    while (text.size() < kMaxAnswerBytes) {
      char buffer[1024];
      const ssize_t n =
          recv(fd_.get(), buffer,
               std::min(sizeof(buffer), kMaxAnswerBytes - text.size()), 0);
      if (n > 0) {
        text.append(buffer, n);
        const size_t end = text.find('\n');
        if (end == std::string::npos) continue;
        text.resize(end);
        return text;
      }
      if (n == 0) {
        return absl::UnavailableError(
            text.empty() ? "no answer: the connection was closed"
                         : "the answer is cut short");
      }
      if (errno == EAGAIN) {
        RETURN_IF_ERROR(WaitFor(POLLIN, "wait for answer"));
      } else if (errno != EINTR) {
        return ErrnoStatus("read", "answer");
      }
    }
    return text;
  }

 private:
  absl::Status WaitFor(short events, absl::string_view what) {
    while (true) {
      const absl::Duration left = deadline_ - clock_.Steady();
      if (left <= absl::ZeroDuration()) {
        return absl::DeadlineExceededError(absl::StrCat(
            what, ": nothing within ", absl::FormatDuration(timeout_)));
      }
      pollfd waiting = {fd_.get(), events, 0};
      const int64_t ms =
          std::min<int64_t>(absl::ToInt64Milliseconds(left) + 1, 3'600'000);
      if (poll(&waiting, 1, static_cast<int>(ms)) > 0) return absl::OkStatus();
    }
  }

  Clock& clock_;
  const absl::Duration timeout_;
  const absl::Duration deadline_;
  UniqueFd fd_;
};

// A path goes into the request as it is: nothing in it may end the line.
bool IsPath(const std::string& path) {
  return absl::StartsWith(path, "/") &&
         std::all_of(path.begin(), path.end(),
                     [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

absl::Status CheckStatusLine(absl::string_view line) {
  line = absl::StripTrailingAsciiWhitespace(line);
  int code = 0;
  if (!absl::StartsWith(line, "HTTP/1.") || line.size() < 12 ||
      line[8] != ' ' || !absl::SimpleAtoi(line.substr(9, 3), &code)) {
    return absl::FailedPreconditionError("the answer is not HTTP");
  }
  if (code >= 200 && code < 400) return absl::OkStatus();
  // It is shown to people: bounded, and without control characters.
  std::string shown(line.substr(0, 80));
  for (char& c : shown) {
    if (!absl::ascii_isprint(static_cast<unsigned char>(c))) c = '?';
  }
  return absl::FailedPreconditionError(absl::StrCat("the answer is ", shown));
}

absl::Status Http(const SocketFactory& open_socket, const std::string& address,
                  uint32_t port, const std::string& path,
                  absl::Duration timeout, Clock& clock) {
  if (!IsPath(path)) {
    return absl::InvalidArgumentError(
        "the path does not begin with / or has characters that a path cannot");
  }
  ASSIGN_OR_RETURN(SocketAddress where, SocketAddress::Parse(address, port));
  Connection connection(clock, timeout);
  RETURN_IF_ERROR(connection.Open(open_socket, where));
  RETURN_IF_ERROR(connection.Send(absl::StrCat(
      "GET ", path, " HTTP/1.1\r\nHost: ", where.ToString(),
      "\r\nUser-Agent: bulwark-probe\r\nAccept: */*\r\nConnection: "
      "close\r\n\r\n")));
  ASSIGN_OR_RETURN(std::string line, connection.ReceiveLine());
  return CheckStatusLine(line);
}

absl::Status Tcp(const SocketFactory& open_socket, const std::string& address,
                 uint32_t port, absl::Duration timeout, Clock& clock) {
  ASSIGN_OR_RETURN(SocketAddress where, SocketAddress::Parse(address, port));
  Connection connection(clock, timeout);
  return connection.Open(open_socket, where);
}

ProbeResult Result(const absl::Status& status) {
  return {status.ok(), std::string(status.message())};
}

}  // namespace

absl::StatusOr<UniqueFd> OpenSocket(int domain, int type, int protocol) {
  UniqueFd fd(socket(domain, type, protocol));
  if (!fd.ok()) return ErrnoStatus("create", "socket");
  return fd;
}

ProbeResult ProbeTcp(const SocketFactory& open_socket,
                     const std::string& address, uint32_t port,
                     absl::Duration timeout, Clock& clock) {
  return Result(Tcp(open_socket, address, port, timeout, clock));
}

ProbeResult ProbeHttp(const SocketFactory& open_socket,
                      const std::string& address, uint32_t port,
                      const std::string& path, absl::Duration timeout,
                      Clock& clock) {
  return Result(Http(open_socket, address, port, path, timeout, clock));
}

}  // namespace bulwark::lb
