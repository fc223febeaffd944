#include "engine/registry/testing/http_server.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"

namespace bulwark::engine::registry::testing {
namespace {

// Reads up to the empty line; what follows it goes to `rest`.
bool ReadHead(int fd, ServerRequest* request, std::string* rest) {
  std::string text;
  char buffer[4096];
  size_t end = 0;
  while ((end = text.find("\r\n\r\n")) == std::string::npos) {
    ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
    if (n <= 0) return false;
    text.append(buffer, n);
  }
  *rest = text.substr(end + 4);
  std::vector<std::string> lines = absl::StrSplit(text.substr(0, end), "\r\n");
  std::vector<std::string> first = absl::StrSplit(lines[0], ' ');
  if (first.size() < 2) return false;
  request->method = first[0];
  request->path = first[1];
  for (size_t i = 1; i < lines.size(); ++i) {
    size_t colon = lines[i].find(':');
    if (colon == std::string::npos) continue;
    request->headers[absl::AsciiStrToLower(lines[i].substr(0, colon))] =
        std::string(absl::StripAsciiWhitespace(lines[i].substr(colon + 1)));
  }
  return true;
}

// What moves at once, of those that have a pace.
constexpr int kSliceMilliseconds = 50;
size_t SliceOf(int64_t pace) {
  return std::max<int64_t>(1, pace * kSliceMilliseconds / 1000);
}

bool SendAll(int fd, absl::string_view data) {
  while (!data.empty()) {
    ssize_t n = send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    data.remove_prefix(n);
  }
  return true;
}

}  // namespace

HttpServer::HttpServer(Handler handler, Planner planner)
    : handler_(std::move(handler)),
      planner_(std::move(planner)),
      listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      stop_(eventfd(0, EFD_CLOEXEC)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address),
             sizeof(address)) == 0);
  CHECK(listen(listener_.get(), 64) == 0);
  socklen_t size = sizeof(address);
  CHECK(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address),
                    &size) == 0);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Run(); });
}

HttpServer::~HttpServer() {
  eventfd_write(stop_.get(), 1);
  thread_.join();
  for (std::thread& connection : connections_) connection.join();
}

std::string HttpServer::address() const {
  return absl::StrCat("127.0.0.1:", port_);
}

std::vector<ServerRequest> HttpServer::requests() const {
  absl::MutexLock lock(&mu_);
  return requests_;
}

void HttpServer::Run() {
  for (;;) {
    pollfd fds[2] = {{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    if (poll(fds, 2, -1) < 0) continue;
    if (fds[1].revents != 0) return;
    UniqueFd connection(
        accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection.ok()) continue;
    connections_.emplace_back(
        [this, fd = connection.Release()] { Serve(UniqueFd(fd)); });
  }
}

void HttpServer::Serve(UniqueFd connection) {
  ServerRequest request;
  std::string begun;
  if (!ReadHead(connection.get(), &request, &begun)) return;
  ReadBody(connection.get(),
           planner_ == nullptr ? BodyPlan() : planner_(request),
           std::move(begun), &request);
  ServerResponse response;
  {
    absl::MutexLock lock(&mu_);
    requests_.push_back(request);
    response = handler_(request);
  }
  if (request.cut) return;
  std::string head = absl::StrCat("HTTP/1.1 ", response.status,
                                  " Status\r\nConnection: close\r\n");
  if (!response.endless) {
    absl::StrAppend(&head, "Content-Length: ",
                    response.promised >= 0
                        ? response.promised
                        : static_cast<int64_t>(response.body.size()),
                    "\r\n");
  }
  for (const std::string& header : response.headers) {
    absl::StrAppend(&head, header, "\r\n");
  }
  SendAll(connection.get(), absl::StrCat(head, "\r\n"));
  if (request.method != "HEAD") SendBody(connection.get(), response);
}

bool HttpServer::Pause(int milliseconds) {
  pollfd stop = {stop_.get(), POLLIN, 0};
  return poll(&stop, 1, milliseconds) == 0;
}

void HttpServer::ReadBody(int fd, const BodyPlan& plan, std::string begun,
                          ServerRequest* request) {
  int64_t size = 0;
  const auto length = request->headers.find("content-length");
  if (length == request->headers.end() ||
      !absl::SimpleAtoi(length->second, &size)) {
    return;
  }
  const int64_t wanted = plan.limit < 0 ? size : std::min(size, plan.limit);
  request->cut = wanted < size;
  request->body = std::move(begun);
  std::string buffer(plan.pace > 0 ? SliceOf(plan.pace) : 256 << 10, '\0');
  if (plan.pace > 0) {
    const int small = 16 << 10;  // little is to wait unread
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
  }
  while (static_cast<int64_t>(request->body.size()) < wanted) {
    if (plan.pace > 0 && !Pause(kSliceMilliseconds)) {
      request->cut = true;
      return;
    }
    const ssize_t n = recv(fd, buffer.data(), buffer.size(), 0);
    if (n <= 0) {
      request->cut = true;
      return;
    }
    request->body.append(buffer.data(), n);
  }
  if (static_cast<int64_t>(request->body.size()) > wanted) {
    request->body.resize(wanted);
  }
}

void HttpServer::SendBody(int fd, const ServerResponse& response) {
  absl::string_view body = response.body;
  if (response.reset_after >= 0) body = body.substr(0, response.reset_after);
  if (response.go_on != nullptr) {
    if (!SendAll(fd, body.substr(0, response.pause_at))) return;
    body = body.substr(std::min<size_t>(response.pause_at, body.size()));
    for (int i = 0; i < 3000 && !response.go_on(); ++i) {
      if (!Pause(10)) return;
    }
  }
  const size_t slice = response.pace > 0 ? SliceOf(response.pace)
                                         : std::max<size_t>(1, body.size());
  do {
    for (size_t at = 0; at < body.size(); at += slice) {
      if (!SendAll(fd, body.substr(at, slice))) return;
      if (response.pace > 0 && !Pause(kSliceMilliseconds)) return;
    }
  } while (response.endless && Pause(0));
  if (response.reset_after < 0) return;
  // What was sent arrives; then the connection breaks.
  int waiting = 0;
  for (int i = 0; i < 2000; ++i) {
    if (ioctl(fd, SIOCOUTQ, &waiting) != 0 || waiting == 0) break;
    if (!Pause(1)) break;
  }
  const linger now = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

}  // namespace bulwark::engine::registry::testing
