#include "metrics/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <exception>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/log.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace bulwark::metrics {
namespace {

constexpr absl::Duration kBindAgain = absl::Seconds(5);
// The library looks whether it is to end every 2 s, or when somebody connects.
constexpr absl::Duration kKnockAgain = absl::Milliseconds(10);
// A client that says nothing for so long loses its thread.
constexpr char kRequestTimeoutMs[] = "2000";
// Prometheus needs one; slow or idle clients shall not keep it out.
constexpr char kThreads[] = "4";

class Source final : public prometheus::Collectable {
 public:
  explicit Source(Server::Collect collect) : collect_(std::move(collect)) {}
  std::vector<prometheus::MetricFamily> Collect() const override {
    return collect_();
  }

 private:
  const Server::Collect collect_;
};

absl::StatusOr<sockaddr_in> Parse(const std::string& text) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  const size_t colon = text.find(':');
  uint32_t port = 0;
  if (colon == std::string::npos ||
      inet_pton(AF_INET, text.substr(0, colon).c_str(), &address.sin_addr) !=
          1 ||
      !absl::SimpleAtoi(text.substr(colon + 1), &port) || port == 0 ||
      port > 65535 || text.find_first_not_of("0123456789.:") != text.npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text,
                     "\" is not ADDRESS:PORT with an IPv4 address, such as "
                     "127.0.0.1:9464"));
  }
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

// Why `text` cannot be bound, which the library does not tell.
absl::Status TryToBind(const std::string& text) {
  ASSIGN_OR_RETURN(const sockaddr_in address, Parse(text));
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.ok()) return ErrnoStatus("make a socket for", text);
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address),
           sizeof(address)) != 0 ||
      listen(fd.get(), 1) != 0) {
    return ErrnoStatus("bind", text);
  }
  return absl::OkStatus();
}

// Connects to the first of `addresses`, and goes.
void Knock(const std::string& addresses) {
  const absl::StatusOr<sockaddr_in> address =
      Parse(addresses.substr(0, addresses.find(',')));
  if (!address.ok()) return;
  const UniqueFd fd(
      socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address),
          sizeof(*address));
}

}  // namespace

Server::Server(std::string addresses, Clock& clock, Collect collect)
    : addresses_(std::move(addresses)),
      clock_(clock),
      collectable_(std::make_shared<Source>(std::move(collect))) {}

Server::~Server() { Stop(); }

void Server::Start() {
  thread_ = std::thread([this] { Loop(); });
}

void Server::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
  }
  if (thread_.joinable()) thread_.join();
  if (exposer_ == nullptr) return;
  std::thread knocker([this] { KnockUntilClosed(); });
  exposer_.reset();
  {
    absl::MutexLock lock(&mu_);
    closed_ = true;
  }
  knocker.join();
}

// Again, for it may have come before the library was told to end.
void Server::KnockUntilClosed() {
  absl::MutexLock lock(&mu_);
  while (!clock_.AwaitUntil(mu_, absl::Condition(&closed_),
                            clock_.Steady() + kKnockAgain)) {
    Knock(addresses_);
  }
}

absl::Status Server::status() const {
  absl::MutexLock lock(&mu_);
  return status_;
}

void Server::Loop() {
  std::string last;
  while (true) {
    const absl::Status bound = Bind();
    if (bound.ok()) {
      LOG_INFO("metrics are served", {{"addresses", addresses_}});
    } else if (bound.ToString() != last) {
      LOG_WARN("metrics are not served; trying on (--metrics-listen)",
               {{"cause", bound}});
    }
    last = bound.ToString();
    absl::MutexLock lock(&mu_);
    status_ = bound;
    if (bound.ok() || clock_.AwaitUntil(mu_, absl::Condition(&stop_),
                                        clock_.Steady() + kBindAgain)) {
      return;
    }
  }
}

absl::Status Server::Bind() {
  for (const std::string& address :
       std::vector<std::string>(absl::StrSplit(addresses_, ','))) {
    RETURN_IF_ERROR(TryToBind(address));
  }
  try {
    auto exposer =
        std::make_unique<prometheus::Exposer>(std::vector<std::string>{
            "listening_ports", addresses_, "num_threads", kThreads,
            "request_timeout_ms", kRequestTimeoutMs});
    exposer->RegisterCollectable(collectable_);
    exposer_ = std::move(exposer);
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        absl::StrCat("serve metrics on ", addresses_, ": ", error.what()));
  }
  return absl::OkStatus();
}

absl::Status CheckAddresses(const std::string& addresses) {
  for (const std::string& address :
       std::vector<std::string>(absl::StrSplit(addresses, ','))) {
    RETURN_IF_ERROR(Parse(address).status());
  }
  return absl::OkStatus();
}

}  // namespace bulwark::metrics
