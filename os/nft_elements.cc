#include "os/nft_elements.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::os {
namespace {

constexpr char kWhat[] = "elements of nftables' sets";

// Messages of one transaction, one behind the other.
class Messages {
 public:
  void Begin(uint16_t type, uint16_t flags, uint32_t sequence, uint8_t family,
             uint16_t resource) {
    message_ = bytes_.size();
    nlmsghdr header{};
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
    header.nlmsg_seq = sequence;
    Append(&header, sizeof(header));
    const nfgenmsg what{family, NFNETLINK_V0, htons(resource)};
    Append(&what, sizeof(what));
  }
  void End() {
    const auto length = static_cast<uint32_t>(bytes_.size() - message_);
    std::memcpy(bytes_.data() + message_, &length, sizeof(length));
  }
  void Add(uint16_t type, absl::string_view data) {
    const nlattr header{static_cast<uint16_t>(NLA_HDRLEN + data.size()), type};
    Append(&header, sizeof(header));
    Append(data.data(), data.size());
  }
  void AddText(uint16_t type, const std::string& text) {
    Add(type, {text.c_str(), text.size() + 1});
  }
  template <typename F>
  void Nest(uint16_t type, F fill) {
    const size_t start = bytes_.size();
    Add(type | NLA_F_NESTED, "");
    fill();
    const auto length = static_cast<uint16_t>(bytes_.size() - start);
    std::memcpy(bytes_.data() + start, &length, sizeof(length));
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void Append(const void* data, size_t size) {
    if (size > 0) bytes_.append(static_cast<const char*>(data), size);
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
  }

  std::string bytes_;
  size_t message_ = 0;  // where the last one begins
};

void AddElement(Messages& messages, const std::string& table,
                const NftElement& element) {
  messages.AddText(NFTA_SET_ELEM_LIST_TABLE, table);
  messages.AddText(NFTA_SET_ELEM_LIST_SET, element.set);
  messages.Nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&] {
    messages.Nest(NFTA_LIST_ELEM, [&] {
      messages.Nest(NFTA_SET_ELEM_KEY,
                    [&] { messages.Add(NFTA_DATA_VALUE, element.key); });
    });
  });
}

// A transaction with a message of `type` for each element.
std::string Transaction(uint16_t type, uint16_t flags, uint8_t family,
                        const std::string& table,
                        const std::vector<NftElement>& elements,
                        uint32_t& sequence) {
  Messages messages;
  messages.Begin(NFNL_MSG_BATCH_BEGIN, 0, ++sequence, AF_UNSPEC,
                 NFNL_SUBSYS_NFTABLES);
  messages.End();
  for (const NftElement& element : elements) {
    messages.Begin(static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type),
                   static_cast<uint16_t>(flags | NLM_F_ACK), ++sequence, family,
                   0);
    AddElement(messages, table, element);
    messages.End();
  }
  messages.Begin(NFNL_MSG_BATCH_END, 0, ++sequence, AF_UNSPEC,
                 NFNL_SUBSYS_NFTABLES);
  messages.End();
  return messages.bytes();
}

}  // namespace

NftKey& NftKey::Add(const void* data, size_t size) {
  bytes_.append(static_cast<const char*>(data), size);
  bytes_.resize((bytes_.size() + 3) / 4 * 4);
  return *this;
}

NftKey& NftKey::AddInterface(absl::string_view name) {
  char field[IFNAMSIZ] = {};
  std::memcpy(field, name.data(), std::min(name.size(), sizeof(field) - 1));
  return Add(field, sizeof(field));
}

absl::StatusOr<NftElements> NftElements::Open() {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!fd.ok()) return ErrnoStatus("open", "netfilter socket");
  int on = 1;
  // Without it an answer repeats the whole question.
  setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
  return NftElements(std::move(fd));
}

absl::Status NftElements::Add(uint8_t family, const std::string& table,
                              const std::vector<NftElement>& elements) {
  return Commit(Transaction(NFT_MSG_NEWSETELEM, NLM_F_CREATE, family, table,
                            elements, sequence_),
                elements.size());
}

absl::Status NftElements::Delete(uint8_t family, const std::string& table,
                                 const std::vector<NftElement>& elements) {
  return Commit(
      Transaction(NFT_MSG_DELSETELEM, 0, family, table, elements, sequence_),
      elements.size());
}

// The kernel answers before send() returns: to each message of an element, and
// to the first if the whole fails.
absl::Status NftElements::Commit(const std::string& batch, size_t messages) {
  const uint32_t first = sequence_ - static_cast<uint32_t>(messages) - 1;
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (sendto(fd_.get(), batch.data(), batch.size(), 0,
             reinterpret_cast<sockaddr*>(&kernel), sizeof(kernel)) < 0) {
    return ErrnoStatus("change", kWhat);
  }
  size_t good = 0;
  int error = 0;
  while (true) {
    alignas(nlmsghdr) char answer[4096];
    const ssize_t n = recv(fd_.get(), answer, sizeof(answer), MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (n < 0) return ErrnoStatus("change", kWhat);
    if (static_cast<size_t>(n) < NLMSG_HDRLEN + sizeof(int)) continue;
    nlmsghdr header;
    std::memcpy(&header, answer, sizeof(header));
    // Of an earlier one that went wrong.
    if (header.nlmsg_type != NLMSG_ERROR ||
        header.nlmsg_seq - first > messages + 1) {
      continue;
    }
    int code;
    std::memcpy(&code, answer + NLMSG_HDRLEN, sizeof(code));
    if (code == 0) ++good;
    if (code != 0 && error == 0) error = -code;
  }
  if (error != 0) return ErrnoStatus(error, "change", kWhat);
  if (good == messages) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("change ", kWhat,
                                          ": the kernel answered to ", good,
                                          " of ", messages, " messages"));
}

}  // namespace bulwark::os
