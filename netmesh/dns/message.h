// DNS messages (RFC 1035, RFC 6891): reading queries, writing answers. Pure.
// Input is hostile: nothing is read outside of the packet.
#ifndef NETMESH_DNS_MESSAGE_H_
#define NETMESH_DNS_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace bulwark::netmesh::dns {

inline constexpr size_t kHeaderSize = 12;
inline constexpr size_t kMaxMessage = 65535;
inline constexpr size_t kPlainUdpSize = 512;  // without EDNS
inline constexpr size_t kEdnsUdpSize = 1232;  // DNS flag day 2020

enum Type : uint16_t {
  kA = 1,
  kSoa = 6,
  kPtr = 12,
  kAaaa = 28,
  kSrv = 33,
  kOpt = 41,
  kAny = 255,
};
inline constexpr uint16_t kClassIn = 1;

// Response codes.
enum Rcode : uint16_t {
  kNoError = 0,
  kFormErr = 1,
  kServFail = 2,
  kNxDomain = 3,
  kNotImp = 4,
  kRefused = 5,
  kBadVers = 16,
};

// Header flags.
inline constexpr uint16_t kQr = 0x8000;
inline constexpr uint16_t kOpcodeMask = 0x7800;
inline constexpr uint16_t kAa = 0x0400;
inline constexpr uint16_t kTc = 0x0200;
inline constexpr uint16_t kRd = 0x0100;
inline constexpr uint16_t kRa = 0x0080;
inline constexpr uint16_t kRcodeMask = 0x000f;

uint16_t Read16(absl::string_view bytes, size_t at);
void Write16(std::string* bytes, size_t at, uint16_t value);

struct Query {
  uint16_t id = 0;
  uint16_t flags = 0;
  // Lower case, without the final dot; "" is the root. Bytes that no host name
  // holds are written \DDD.
  std::string name;
  int labels = 0;
  uint16_t type = 0;
  uint16_t klass = 0;
  size_t question_end = kHeaderSize;  // offset behind the question
  bool edns = false;
  uint8_t edns_version = 0;
  uint16_t udp_size = kPlainUdpSize;  // what the client takes by UDP

  // The largest UDP answer.
  size_t UdpLimit() const;
};

enum class ParseResult {
  kOk,
  kDrop,     // not a query: answering could loop
  kFormErr,  // id and flags are set
  kNotImp,
};
ParseResult ParseQuery(absl::string_view packet, Query* query);

// Reads the name at `*at` without following pointers; moves `*at` behind it.
// False if it is malformed or has a pointer.
bool ReadPlainName(absl::string_view packet, size_t* at, std::string* name,
                   int* labels);

// Appends "a.b.c" as labels. False (nothing appended) if a label is empty or
// longer than 63, or the whole longer than 255.
bool AppendName(std::string* out, absl::string_view name);

// Whether the answer belongs to the query that we sent: same id, same
// question apart from case.
bool Matches(absl::string_view query, size_t question_end,
             absl::string_view answer);

// Writes one answer. The question is the query's own bytes, so that the case
// of its name comes back as it was.
class Answer {
 public:
  enum Section { kAnswer = 6, kAuthority = 8, kAdditional = 10 };

  // `limit`: bytes of the whole message.
  Answer(absl::string_view packet, const Query& query, size_t limit);

  // Adds a record with the question's name (`owner` empty) or another. False,
  // and nothing is added, if it does not fit.
  bool Add(Section section, absl::string_view owner, uint16_t type,
           uint32_t ttl, absl::string_view data);
  void SetFlag(uint16_t flag) { flags_ |= flag; }
  void SetRcode(uint16_t rcode) { rcode_ = rcode; }
  std::string Finish();

 private:
  const Query& query_;
  size_t limit_;
  uint16_t flags_;
  uint16_t rcode_ = kNoError;
  std::string bytes_;
};

// A whole answer without records.
std::string EmptyAnswer(absl::string_view packet, const Query& query,
                        uint16_t rcode, uint16_t flags = 0);

}  // namespace bulwark::netmesh::dns

#endif  // NETMESH_DNS_MESSAGE_H_
