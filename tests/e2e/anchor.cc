#include "tests/e2e/anchor.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/unique_fd.h"

namespace bulwark::e2e {
namespace {

constexpr absl::Duration kBetweenRequests = absl::Milliseconds(50);
constexpr char kManifest[] = R"(
kind: Service
name: anchor
image: %s
command: [httpd, -f, -p, "80", -h, /etc]
ports: ["%d:80"]
resources: {memory: 64Mi}
health: {tcp: ":80", period: 200ms}
stop: {timeout: 1s}
rollout: {minHealthyTime: 100ms}
)";

}  // namespace

std::string Fetch(int port, const std::string& path, std::string& why) {
  why.clear();
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience = {5, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
              sizeof(address)) != 0) {
    why = absl::StrCat("connect: ", std::strerror(errno));
    return "";
  }
  const std::string request = absl::StrCat("GET ", path, " HTTP/1.0\r\n\r\n");
  if (send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) {
    why = absl::StrCat("send: ", std::strerror(errno));
    return "";
  }
  std::string answer;
  char buffer[4096];
  ssize_t n;
  while ((n = recv(fd.get(), buffer, sizeof(buffer), 0)) > 0) {
    answer.append(buffer, static_cast<size_t>(n));
  }
  if (n < 0) why = absl::StrCat("receive: ", std::strerror(errno));
  const size_t head = answer.find("\r\n\r\n");
  if (!absl::StrContains(answer.substr(0, 20), " 200 ") ||
      head == std::string::npos) {
    absl::StrAppend(&why, " answer: ", answer);
    return "";
  }
  return answer.substr(head + 4);
}

bool Answers(int port) {
  std::string why;
  return !Fetch(port, "/passwd", why).empty();
}

std::string Describe(World& world, const std::string& service) {
  return world.Ctl({"describe", "service", service}).ToString();
}

std::string AwaitCondition(World& world, const std::string& service,
                           const std::string& type, const std::string& status,
                           const std::vector<std::string>& parts,
                           absl::Duration timeout) {
  std::string missing, condition;
  const bool met = Eventually(
      [&] {
        condition = world.Condition(service, type);
        missing.clear();
        if (!absl::EqualsIgnoreCase(condition.substr(0, status.size()),
                                    status)) {
          missing = status;
        }
        for (const std::string& part : parts) {
          if (!absl::StrContains(condition, part)) missing = part;
        }
        if (!missing.empty()) Pause(absl::Milliseconds(100));
        return missing.empty();
      },
      timeout);
  if (met) return "";
  return absl::StrCat(service, ": ", type, " lacks \"", missing,
                      "\"; it is: ", condition);
}

Anchor::Anchor(World& world, const std::string& image) : world_(world) {
  CHECK(world_.Apply(absl::StrFormat(kManifest, image, kPort)).ok());
  CHECK(world_.AwaitReady("anchor", 1, absl::Seconds(30)));
  CHECK(Eventually([] { return Answers(kPort); }));
  pid_ = world_.Ready("anchor").at(0).pid;
  thread_ = std::thread([this] { Watch(); });
}

Anchor::~Anchor() {
  stop_ = true;
  thread_.join();
}

void Anchor::Watch() {
  while (!stop_) {
    std::string why;
    const bool good = !Fetch(kPort, "/passwd", why).empty();
    {
      absl::MutexLock lock(&mu_);
      ++requests_;
      if (!good) {
        if (failed_++ == 0) first_failure_ = why;
      }
    }
    Pause(kBetweenRequests);
  }
}

std::string Anchor::Failures() {
  int before;
  {
    absl::MutexLock lock(&mu_);
    before = requests_;
  }
  // One that began after what the test did.
  const bool fresh = Eventually([&] {
    absl::MutexLock lock(&mu_);
    return requests_ >= before + 2;
  });
  absl::MutexLock lock(&mu_);
  if (!fresh) return "no request comes to an end";
  if (failed_ == 0) return "";
  return absl::StrCat(failed_, " of ", requests_,
                      " requests failed, the first one: ", first_failure_);
}

std::string Anchor::Check() {
  const std::vector<ReplicaInfo> ready = world_.Ready("anchor");
  if (ready.size() != 1 || ready[0].pid != pid_) {
    return absl::StrCat("the process is not ", pid_,
                        " any more: ", Describe(world_, "anchor"));
  }
  return CheckWithoutDaemon();
}

std::string Anchor::CheckWithoutDaemon() {
  if (kill(pid_, 0) != 0) return absl::StrCat("process ", pid_, " is gone");
  return Failures();
}

}  // namespace bulwark::e2e
