#include "netmesh/dns/dns_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>

#include "base/testing/status_matchers.h"
#include "netmesh/dns/message.h"

namespace bulwark::netmesh {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

std::string MakeQuery(absl::string_view name, uint16_t id = 77) {
  std::string packet(dns::kHeaderSize, '\0');
  dns::Write16(&packet, 0, id);
  dns::Write16(&packet, 2, dns::kRd);
  dns::Write16(&packet, 4, 1);
  EXPECT_TRUE(dns::AppendName(&packet, name));
  packet += std::string("\0\1\0\1", 4);
  return packet;
}

uint16_t Rcode(absl::string_view answer) {
  return dns::Read16(answer, 2) & dns::kRcodeMask;
}

// The kernel loses nothing on loopback: an answer that is due comes long
// before this.
constexpr int kPatienceMillis = 5000;

std::string Receive(int fd, int patience = kPatienceMillis) {
  pollfd p{fd, POLLIN, 0};
  if (poll(&p, 1, patience) != 1) return "";
  char buffer[65535];
  ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
  return n > 0 ? std::string(buffer, static_cast<size_t>(n)) : "";
}

UniqueFd Connect(uint16_t port, int type) {
  UniqueFd fd(socket(AF_INET, type | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(
      connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)),
      0);
  return fd;
}

uint16_t PortOf(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

// An upstream that answers each UDP query with `rcode`, or not at all (-1),
// and TCP queries with 2000 bytes.
class TestUpstream {
 public:
  explicit TestUpstream(int rcode)
      : rcode_(rcode),
        sockets_(DnsServer::OpenSockets("127.0.0.1", 0).value()) {
    port_ = PortOf(sockets_.udp.get());
    thread_ = std::thread([this] { Run(); });
  }
  ~TestUpstream() {
    stop_ = true;
    thread_.join();
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  int queries() const { return queries_; }

 private:
  void Run() {
    while (!stop_) {
      pollfd p[2] = {{sockets_.udp.get(), POLLIN, 0},
                     {sockets_.tcp.get(), POLLIN, 0}};
      if (poll(p, 2, 20) < 1) continue;
      if (p[0].revents) AnswerUdp();
      if (p[1].revents) AnswerTcp();
    }
  }
  std::string Answer(std::string packet) {
    dns::Write16(&packet, 2, static_cast<uint16_t>(dns::kQr | rcode_));
    return packet;
  }
  void AnswerUdp() {
    char buffer[2048];
    sockaddr_storage peer;
    socklen_t size = sizeof(peer);
    ssize_t n = recvfrom(sockets_.udp.get(), buffer, sizeof(buffer), 0,
                         reinterpret_cast<sockaddr*>(&peer), &size);
    if (n <= 0) return;
    ++queries_;
    if (rcode_ < 0) return;
    std::string answer = Answer(std::string(buffer, static_cast<size_t>(n)));
    // A forgery with another id first.
    std::string forged = answer;
    forged[0] ^= 1;
    for (const std::string& one : {forged, answer}) {
      sendto(sockets_.udp.get(), one.data(), one.size(), 0,
             reinterpret_cast<sockaddr*>(&peer), size);
    }
  }
  void AnswerTcp() {
    UniqueFd client(accept(sockets_.tcp.get(), nullptr, nullptr));
    std::string packet = Receive(client.get());
    if (packet.size() < 2) return;
    std::string answer = Answer(packet.substr(2)) + std::string(2000, 'x');
    std::string length(2, '\0');
    dns::Write16(&length, 0, static_cast<uint16_t>(answer.size()));
    answer = length + answer;
    send(client.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
  }

  const int rcode_;
  DnsSockets sockets_;
  uint16_t port_ = 0;
  std::atomic<int> queries_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class DnsServerTest : public ::testing::Test {
 protected:
  void SetUp() override { Open({.upstream_timeout = absl::Milliseconds(100)}); }
  void Open(DnsOptions options) {
    server_ = std::make_unique<DnsServer>(std::move(options), clock_, entropy_);
    ASSERT_OK(server_->Start());
    ASSERT_OK_AND_ASSIGN(DnsSockets sockets,
                         DnsServer::OpenSockets("127.0.0.1", 0));
    port_ = PortOf(sockets.udp.get());
    server_->AddSockets(std::move(sockets));
    Update("10.211.0.7", {});
  }
  void Update(const std::string& web, std::vector<std::string> upstreams) {
    google::protobuf::RepeatedPtrField<dataplane::v1::DnsView> views;
    auto* view = views.Add();
    view->set_listen_address("127.0.0.1");
    auto* record = view->add_records();
    record->set_name("web");
    record->add_ipv4(web);
    google::protobuf::RepeatedPtrField<std::string> list;
    for (auto& u : upstreams) *list.Add() = u;
    ASSERT_OK(server_->Update(views, list));
  }
  std::string AskUdp(const std::string& packet) {
    UniqueFd fd = Connect(port_, SOCK_DGRAM);
    send(fd.get(), packet.data(), packet.size(), 0);
    return Receive(fd.get());
  }

  RealClock clock_;
  SeededEntropy entropy_{1};
  std::unique_ptr<DnsServer> server_;
  uint16_t port_ = 0;
};

TEST_F(DnsServerTest, WhenUpdated_TheNextAnswerIsNew) {
  for (int i = 1; i < 50; ++i) {
    Update("10.211.0." + std::to_string(i), {});
    std::string answer = AskUdp(MakeQuery("web"));
    ASSERT_GT(answer.size(), 4u);
    EXPECT_EQ(answer.back(), static_cast<char>(i));
  }
  EXPECT_EQ(server_->Stats().answered, 49u);
}

TEST_F(DnsServerTest, WhenAnUpdateIsWrong_KeepsTheOldOne) {
  google::protobuf::RepeatedPtrField<dataplane::v1::DnsView> views;
  google::protobuf::RepeatedPtrField<std::string> upstreams;
  *upstreams.Add() = "not an address";
  EXPECT_THAT(server_->Update(views, upstreams),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not an address")));
  upstreams.Clear();
  views.Add()->set_listen_address("127.0.0.1");
  views.Add()->set_listen_address("127.0.0.1");
  EXPECT_THAT(server_->Update(views, upstreams),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(Rcode(AskUdp(MakeQuery("web"))), dns::kNoError);
}

TEST_F(DnsServerTest, WhenAskedByTcp_TakesSeveralQueriesOnOneConnection) {
  UniqueFd fd = Connect(port_, SOCK_STREAM);
  std::string one = MakeQuery("web", 1);
  std::string two = MakeQuery("nope", 2);
  std::string stream;
  for (const std::string& q : {one, two}) {
    std::string length(2, '\0');
    dns::Write16(&length, 0, static_cast<uint16_t>(q.size()));
    stream += length + q;
  }
  // In two pieces, cut within a length.
  send(fd.get(), stream.data(), 1, 0);
  send(fd.get(), stream.data() + 1, stream.size() - 1, 0);
  shutdown(fd.get(), SHUT_WR);
  std::string all;
  for (std::string part; !(part = Receive(fd.get())).empty();) all += part;
  size_t first = dns::Read16(all, 0);
  ASSERT_GT(all.size(), first + 4);
  EXPECT_EQ(dns::Read16(all, 2), 1);
  EXPECT_EQ(dns::Read16(all, first + 4), 2);
  EXPECT_EQ(Rcode(absl::string_view(all).substr(first + 4)), dns::kNxDomain);
}

TEST_F(DnsServerTest, WhenANameIsForeign_AsksAnUpstream) {
  TestUpstream upstream(dns::kNoError);
  Update("10.211.0.7", {upstream.address()});
  std::string answer = AskUdp(MakeQuery("example.com", 4711));
  EXPECT_EQ(dns::Read16(answer, 0), 4711);
  EXPECT_EQ(Rcode(answer), dns::kNoError);
  EXPECT_EQ(upstream.queries(), 1);
  // By TCP as the client.
  UniqueFd fd = Connect(port_, SOCK_STREAM);
  std::string query = MakeQuery("example.com", 4712);
  std::string stream(2, '\0');
  dns::Write16(&stream, 0, static_cast<uint16_t>(query.size()));
  stream += query;
  send(fd.get(), stream.data(), stream.size(), 0);
  std::string all;
  while (all.size() < 2 + query.size() + 2000) {
    std::string part = Receive(fd.get());
    ASSERT_FALSE(part.empty());
    all += part;
  }
  EXPECT_EQ(dns::Read16(all, 2), 4712);
}

TEST_F(DnsServerTest, WhenAnUpstreamFails_AsksTheNext) {
  TestUpstream silent(-1), refusing(dns::kRefused), good(dns::kNoError);
  Update("10.211.0.7", {silent.address(), good.address()});
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Rcode(AskUdp(MakeQuery("example.com"))), dns::kNoError);
  }
  EXPECT_EQ(silent.queries(), 1);
  Update("10.211.0.7", {refusing.address(), good.address()});
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Rcode(AskUdp(MakeQuery("example.com"))), dns::kNoError);
  }
}

TEST_F(DnsServerTest, WhenNoUpstreamAnswers_IsServFail) {
  std::string answer = AskUdp(MakeQuery("example.com", 9));
  EXPECT_EQ(Rcode(answer), dns::kServFail);
  TestUpstream silent(-1);
  Update("10.211.0.7", {silent.address()});
  answer = AskUdp(MakeQuery("example.com", 10));
  EXPECT_EQ(Rcode(answer), dns::kServFail);
  EXPECT_EQ(dns::Read16(answer, 0), 10);
  EXPECT_EQ(silent.queries(), 2);
  // Nobody listens there: known at once.
  Update("10.211.0.7", {"127.0.0.1:1"});
  EXPECT_EQ(Rcode(AskUdp(MakeQuery("example.com"))), dns::kServFail);
  EXPECT_EQ(server_->Stats().forward_failures, 3u);
}

TEST_F(DnsServerTest, WhenTooManyAreForwarded_FailsFast) {
  Open({.upstream_timeout = absl::Seconds(60), .max_forwarded = 2});
  TestUpstream silent(-1);
  Update("10.211.0.7", {silent.address()});
  UniqueFd fd = Connect(port_, SOCK_DGRAM);
  for (uint16_t id : {1, 2, 3}) {
    std::string query = MakeQuery("example.com", id);
    send(fd.get(), query.data(), query.size(), 0);
  }
  std::string answer = Receive(fd.get());
  EXPECT_EQ(dns::Read16(answer, 0), 3);
  EXPECT_EQ(Rcode(answer), dns::kServFail);
}

TEST_F(DnsServerTest, WhenConnectionsIdle_ClosesThem) {
  Open({.idle_timeout = absl::Milliseconds(50)});
  UniqueFd fd = Connect(port_, SOCK_STREAM);
  pollfd p{fd.get(), POLLIN, 0};
  ASSERT_EQ(poll(&p, 1, kPatienceMillis), 1);
  char c;
  EXPECT_EQ(recv(fd.get(), &c, 1, 0), 0);
}

TEST_F(DnsServerTest, WhenSocketsAreRemoved_NothingListens) {
  server_->RemoveSockets("127.0.0.1");
  EXPECT_TRUE(server_->ListenAddresses().empty());
  const absl::Duration deadline = clock_.Steady() + absl::Seconds(5);
  bool refused = false;
  while (!refused && clock_.Steady() < deadline) {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    refused = connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
                      sizeof(address)) != 0;
  }
  EXPECT_TRUE(refused);
}

TEST_F(DnsServerTest, WhenGarbageArrives_ServesOn) {
  std::mt19937_64 random(7);
  UniqueFd udp = Connect(port_, SOCK_DGRAM);
  for (int i = 0; i < 500; ++i) {
    std::string packet(random() % 200, '\0');
    for (char& c : packet) c = static_cast<char>(random());
    send(udp.get(), packet.data(), packet.size(), 0);
    if (i % 25 == 0) {
      UniqueFd tcp = Connect(port_, SOCK_STREAM);
      send(tcp.get(), packet.data(), packet.size(), MSG_NOSIGNAL);
    }
  }
  EXPECT_EQ(Rcode(AskUdp(MakeQuery("web"))), dns::kNoError);
  EXPECT_GT(server_->Stats().malformed, 0u);
}

}  // namespace
}  // namespace bulwark::netmesh
