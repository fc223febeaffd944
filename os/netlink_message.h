// Netlink messages: building them, and walking their attributes. Internal to
// os/netlink*.cc.
#ifndef OS_NETLINK_MESSAGE_H_
#define OS_NETLINK_MESSAGE_H_

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "os/ip_address.h"
#include "os/netlink.h"

namespace bulwark::os {

// Calls `each(type, payload, size)` for each attribute in [data, data+size).
template <typename F>
void ForEachAttribute(const char* data, size_t size, F each) {
  while (size >= sizeof(rtattr)) {
    rtattr header;
    std::memcpy(&header, data, sizeof(header));
    if (header.rta_len < sizeof(header) || header.rta_len > size) return;
    each(header.rta_type & NLA_TYPE_MASK, data + sizeof(header),
         header.rta_len - sizeof(header));
    size_t step = RTA_ALIGN(header.rta_len);
    if (step >= size) return;
    data += step;
    size -= step;
  }
}

inline uint32_t ReadU32(const char* data, size_t size) {
  uint32_t value = 0;
  std::memcpy(&value, data, std::min(size, sizeof(value)));
  return value;
}

inline std::string ReadString(const char* data, size_t size) {
  return std::string(data, strnlen(data, size));
}

// Reads the fixed header T at the start of a message's payload.
template <typename T>
bool ReadHeader(const std::string& message, T* header) {
  if (message.size() < NLMSG_HDRLEN + sizeof(T)) return false;
  std::memcpy(header, message.data() + NLMSG_HDRLEN, sizeof(T));
  return true;
}

template <typename T, typename F>
void ForEachAttributeOf(const std::string& message, F each) {
  size_t start = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(T));
  if (message.size() <= start) return;
  ForEachAttribute(message.data() + start, message.size() - start, each);
}

// Builds one message; attributes may nest.
class Netlink::Request {
 public:
  Request(uint16_t type, uint16_t flags, std::string what)
      : what_(std::move(what)) {
    nlmsghdr header{};
    header.nlmsg_type = type;
    header.nlmsg_flags = NLM_F_REQUEST | flags;
    Append(&header, sizeof(header));
  }

  template <typename T>
  Request& Header(const T& header) {
    Append(&header, sizeof(header));
    return *this;
  }
  Request& Add(uint16_t type, const void* data, size_t size) {
    rtattr header{static_cast<uint16_t>(RTA_LENGTH(size)), type};
    Append(&header, sizeof(header));
    Append(data, size);
    return *this;
  }
  Request& Add(uint16_t type, uint32_t value) {
    return Add(type, &value, sizeof(value));
  }
  Request& Add8(uint16_t type, uint8_t value) {
    return Add(type, &value, sizeof(value));
  }
  Request& Add(uint16_t type, absl::string_view text) {
    std::string terminated(text);
    return Add(type, terminated.c_str(), terminated.size() + 1);
  }
  Request& Add(uint16_t type, const IpAddress& address) {
    return Add(type, address.bytes.data(), static_cast<size_t>(address.size()));
  }
  Request& Add(uint16_t type, const MacAddress& mac) {
    return Add(type, mac.data(), mac.size());
  }
  // Everything that `fill` adds lies inside one attribute.
  template <typename F>
  Request& Nest(uint16_t type, F fill) {
    size_t start = bytes_.size();
    Add(type, nullptr, 0);
    fill();
    uint16_t length = static_cast<uint16_t>(bytes_.size() - start);
    std::memcpy(bytes_.data() + start, &length, sizeof(length));
    return *this;
  }

  const std::string& Finish(uint32_t sequence) {
    nlmsghdr header;
    std::memcpy(&header, bytes_.data(), sizeof(header));
    header.nlmsg_len = static_cast<uint32_t>(bytes_.size());
    header.nlmsg_seq = sequence;
    std::memcpy(bytes_.data(), &header, sizeof(header));
    return bytes_;
  }
  const std::string& what() const { return what_; }

 private:
  void Append(const void* data, size_t size) {
    if (size > 0) bytes_.append(static_cast<const char*>(data), size);
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
  }

  std::string bytes_;
  std::string what_;
};

}  // namespace bulwark::os

#endif  // OS_NETLINK_MESSAGE_H_
