#include "os/nft_generation.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "base/status.h"

namespace bulwark::os {
namespace {

constexpr char kWhat[] = "generation of nftables";
// Answers to earlier questions that went wrong may lie before ours.
constexpr int kMostAnswers = 8;

// That of an answer to question `sequence`; NOT_FOUND if it answers another.
absl::StatusOr<uint32_t> ParseAnswer(const char* data, size_t size,
                                     uint32_t sequence) {
  nlmsghdr header;
  if (size < sizeof(header)) return absl::NotFoundError("short");
  std::memcpy(&header, data, sizeof(header));
  if (header.nlmsg_seq != sequence || header.nlmsg_len > size) {
    return absl::NotFoundError("of another question");
  }
  if (header.nlmsg_type == NLMSG_ERROR) {
    nlmsgerr error{};
    if (size < NLMSG_HDRLEN + sizeof(error)) return absl::NotFoundError("");
    std::memcpy(&error, data + NLMSG_HDRLEN, sizeof(error));
    errno = -error.error;
    return ErrnoStatus("read", kWhat);
  }
  size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(nfgenmsg));
  while (at + sizeof(nlattr) <= header.nlmsg_len) {
    nlattr attribute;
    std::memcpy(&attribute, data + at, sizeof(attribute));
    if (attribute.nla_len < sizeof(attribute) ||
        attribute.nla_len > header.nlmsg_len - at) {
      break;
    }
    uint32_t value;
    if ((attribute.nla_type & NLA_TYPE_MASK) == NFTA_GEN_ID &&
        attribute.nla_len >= sizeof(attribute) + sizeof(value)) {
      std::memcpy(&value, data + at + sizeof(attribute), sizeof(value));
      return ntohl(value);
    }
    at += NLA_ALIGN(attribute.nla_len);
  }
  return absl::InternalError("read generation of nftables: none in the answer");
}

}  // namespace

absl::StatusOr<NftGeneration> NftGeneration::Open() {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!fd.ok()) return ErrnoStatus("open", "netfilter socket");
  return NftGeneration(std::move(fd));
}

absl::StatusOr<uint32_t> NftGeneration::Read() {
  struct {
    nlmsghdr header;
    nfgenmsg family;
  } question{};
  question.header.nlmsg_len = sizeof(question);
  question.header.nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN;
  question.header.nlmsg_flags = NLM_F_REQUEST;
  question.header.nlmsg_seq = ++sequence_;
  question.family.version = NFNETLINK_V0;
  // Addressed to the kernel: it answers before send() returns.
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (sendto(fd_.get(), &question, sizeof(question), 0,
             reinterpret_cast<sockaddr*>(&kernel), sizeof(kernel)) < 0) {
    return ErrnoStatus("ask for", kWhat);
  }
  for (int i = 0; i < kMostAnswers; ++i) {
    alignas(nlmsghdr) char answer[512];
    const ssize_t n =
        recv(fd_.get(), answer, sizeof(answer), MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus("read", kWhat);
    const size_t size = std::min(static_cast<size_t>(n), sizeof(answer));
    absl::StatusOr<uint32_t> generation = ParseAnswer(answer, size, sequence_);
    if (!absl::IsNotFound(generation.status())) return generation;
  }
  return absl::InternalError("read generation of nftables: no answer");
}

}  // namespace bulwark::os
