#include "netmesh/dns/zone.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/testing/status_matchers.h"

// Last: it makes macros of true and false.
#include <ldns/ldns.h>
#undef true
#undef false

namespace bulwark::netmesh::dns {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::StatusIs;

// A query as any client writes it.
std::string MakeQuery(absl::string_view name, uint16_t type, int edns_size = 0,
                      uint16_t flags = kRd) {
  std::string packet(kHeaderSize, '\0');
  Write16(&packet, 0, 0x1234);
  Write16(&packet, 2, flags);
  Write16(&packet, 4, 1);
  if (name.empty()) {
    packet.push_back('\0');
  } else {
    EXPECT_TRUE(AppendName(&packet, name));
  }
  packet.append(4, '\0');
  Write16(&packet, packet.size() - 4, type);
  Write16(&packet, packet.size() - 2, kClassIn);
  if (edns_size > 0) {
    size_t at = packet.size();
    packet.append(11, '\0');
    Write16(&packet, at + 1, kOpt);
    Write16(&packet, at + 3, static_cast<uint16_t>(edns_size));
    Write16(&packet, 10, 1);
  }
  return packet;
}

// The judge is another implementation: ldns reads what we write.
struct Reply {
  int rcode = -1;
  bool aa = false, tc = false, qr = false;
  size_t size = 0;
  std::vector<std::string> answer;  // "name TTL IN TYPE data"
  std::vector<std::string> authority;
  std::vector<std::string> additional;
};

std::vector<std::string> Texts(ldns_rr_list* list) {
  std::vector<std::string> result;
  for (size_t i = 0; i < ldns_rr_list_rr_count(list); ++i) {
    char* text = ldns_rr2str(ldns_rr_list_rr(list, i));
    std::string line(text);
    free(text);
    for (char& c : line) {
      if (c == '\t' || c == '\n') c = ' ';
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    result.push_back(line);
  }
  return result;
}

Reply Read(const std::string& bytes) {
  Reply reply;
  ldns_pkt* packet = nullptr;
  if (ldns_wire2pkt(&packet, reinterpret_cast<const uint8_t*>(bytes.data()),
                    bytes.size()) != LDNS_STATUS_OK) {
    ADD_FAILURE() << "ldns cannot read the answer";
    return reply;
  }
  std::unique_ptr<ldns_pkt, void (*)(ldns_pkt*)> owner(packet, ldns_pkt_free);
  reply.rcode = ldns_pkt_get_rcode(packet);
  reply.aa = ldns_pkt_aa(packet);
  reply.tc = ldns_pkt_tc(packet);
  reply.qr = ldns_pkt_qr(packet);
  reply.size = bytes.size();
  reply.answer = Texts(ldns_pkt_answer(packet));
  reply.authority = Texts(ldns_pkt_authority(packet));
  reply.additional = Texts(ldns_pkt_additional(packet));
  return reply;
}

void AddRecord(dataplane::v1::DnsView* view, absl::string_view name,
               std::vector<std::string> ipv4,
               std::vector<std::string> ipv6 = {}, int srv_port = 0,
               absl::string_view srv_target = "") {
  auto* record = view->add_records();
  record->set_name(std::string(name));
  for (const std::string& a : ipv4) record->add_ipv4(a);
  for (const std::string& a : ipv6) record->add_ipv6(a);
  if (srv_port > 0) {
    auto* srv = record->add_srv();
    srv->set_port(static_cast<uint32_t>(srv_port));
    srv->set_target(std::string(srv_target));
  }
}

Zone TestZone() {
  dataplane::v1::DnsView view;
  view.set_listen_address("10.210.0.1");
  AddRecord(&view, "web", {"10.211.0.7"});
  AddRecord(&view, "web.default", {"10.211.0.7"});
  AddRecord(&view, "web.default.bulwark.internal", {"10.211.0.7"});
  AddRecord(&view, "0.web.default.bulwark.internal", {"10.210.0.2"},
            {"fd00::2"});
  AddRecord(&view, "_http._tcp.web.default.bulwark.internal", {}, {}, 8080,
            "web.default.bulwark.internal");
  AddRecord(&view, "many.default.bulwark.internal", {});
  for (int i = 0; i < 100; ++i) {
    view.mutable_records(5)->add_ipv4("10.210.1." + std::to_string(i));
  }
  return Zone::Build(view, {}).value();
}

class ZoneTest : public ::testing::Test {
 protected:
  Reply Ask(absl::string_view name, uint16_t type, int edns = 0,
            uint64_t turn = 0, bool tcp = false) {
    std::string packet = MakeQuery(name, type, edns);
    Query query;
    EXPECT_EQ(ParseQuery(packet, &query), ParseResult::kOk);
    EXPECT_FALSE(zone_.IsForeign(query));
    return Read(zone_.Resolve(packet, query,
                              tcp ? kMaxMessage : query.UdpLimit(), turn));
  }
  bool Foreign(absl::string_view name) {
    Query query;
    EXPECT_EQ(ParseQuery(MakeQuery(name, kA), &query), ParseResult::kOk);
    return zone_.IsForeign(query);
  }

  Zone zone_ = TestZone();
};

TEST_F(ZoneTest, WhenANameIsKnown_GivesItsAddresses) {
  Reply reply = Ask("web", kA);
  EXPECT_EQ(reply.rcode, kNoError);
  EXPECT_TRUE(reply.aa);
  EXPECT_TRUE(reply.qr);
  EXPECT_FALSE(reply.tc);
  EXPECT_THAT(reply.answer, ElementsAre("web. 5 IN A 10.211.0.7"));
  EXPECT_THAT(Ask("0.web.default.bulwark.internal", kAaaa).answer,
              ElementsAre("0.web.default.bulwark.internal. 5 IN AAAA fd00::2"));
  EXPECT_EQ(Ask("0.web.default.bulwark.internal", kAny).answer.size(), 2u);
  EXPECT_THAT(Ask("localhost", kA).answer,
              ElementsAre("localhost. 5 IN A 127.0.0.1"));
}

TEST_F(ZoneTest, WhenAServiceLacksTheSlot_NobodyElseIsAsked) {
  EXPECT_FALSE(Foreign("7.web"));
  EXPECT_EQ(Ask("7.web", kA).rcode, kNxDomain);
  EXPECT_EQ(Ask("7.web.default", kA).rcode, kNxDomain);
  EXPECT_TRUE(Foreign("7.com"));
  EXPECT_TRUE(Foreign("x7.web"));
}

TEST_F(ZoneTest, WhenTheCaseDiffers_AnswersInTheClientsCase) {
  EXPECT_THAT(Ask("WeB.dEfault", kA).answer,
              ElementsAre("WeB.dEfault. 5 IN A 10.211.0.7"));
}

TEST_F(ZoneTest, WhenTheTypeIsMissing_IsNoDataNotNxDomain) {
  for (uint16_t type : {kAaaa, kSrv, kPtr, Type{16}}) {
    Reply reply = Ask("web", type);
    EXPECT_EQ(reply.rcode, kNoError);
    EXPECT_THAT(reply.answer, IsEmpty());
  }
  Reply reply = Ask("web.default.bulwark.internal", kAaaa);
  ASSERT_EQ(reply.authority.size(), 1u);
  EXPECT_THAT(reply.authority[0], HasSubstr("SOA"));
  // A name with others below it exists (RFC 8020).
  EXPECT_EQ(Ask("default.bulwark.internal", kA).rcode, kNoError);
  EXPECT_EQ(Ask("bulwark.internal", kA).rcode, kNoError);
  EXPECT_EQ(Ask("bulwark.internal", kSoa).answer.size(), 1u);
}

TEST_F(ZoneTest, WhenANameIsUnknown_IsNxDomainOrForeign) {
  for (const char* name :
       {"nope", "nope.bulwark.internal", "x.web.default.bulwark.internal"}) {
    EXPECT_EQ(Ask(name, kA).rcode, kNxDomain) << name;
  }
  for (const char* name :
       {"example.com", "nope.default", "xbulwark.internal",
        "bulwark.internal.example.com", "8.8.8.8.in-addr.arpa", ""}) {
    EXPECT_TRUE(Foreign(name)) << name;
  }
  EXPECT_FALSE(Foreign("web.default"));
}

TEST_F(ZoneTest, WhenAskedInReverse_GivesTheFullestName) {
  EXPECT_THAT(Ask("7.0.211.10.in-addr.arpa", kPtr).answer,
              ElementsAre(HasSubstr("IN PTR web.default.bulwark.internal.")));
  EXPECT_THAT(Ask("2.0.210.10.in-addr.arpa", kPtr).answer,
              ElementsAre(HasSubstr("IN PTR 0.web.default.bulwark.internal.")));
}

TEST_F(ZoneTest, WhenAskedForAService_GivesPortAndAddress) {
  Reply reply = Ask("_http._tcp.web.default.bulwark.internal", kSrv);
  EXPECT_THAT(reply.answer,
              ElementsAre("_http._tcp.web.default.bulwark.internal. 5 IN SRV "
                          "0 0 8080 web.default.bulwark.internal."));
  EXPECT_THAT(reply.additional,
              ElementsAre("web.default.bulwark.internal. 5 IN A 10.211.0.7"));
}

TEST_F(ZoneTest, WhenAnAnswerIsLong_IsCutToTheClientsSize) {
  const char* many = "many.default.bulwark.internal";
  Reply plain = Ask(many, kA);
  EXPECT_TRUE(plain.tc);
  EXPECT_LE(plain.size, 512u);
  EXPECT_GT(plain.answer.size(), 20u);
  Reply edns = Ask(many, kA, 4096);
  EXPECT_TRUE(edns.tc);
  EXPECT_LE(edns.size, 1232u);
  EXPECT_GT(edns.answer.size(), plain.answer.size());
  Reply tiny = Ask(many, kA, 100);  // below 512 means 512
  EXPECT_LE(tiny.size, 512u);
  Reply tcp = Ask(many, kA, 0, 0, true);
  EXPECT_FALSE(tcp.tc);
  EXPECT_EQ(tcp.answer.size(), 100u);
}

TEST_F(ZoneTest, WhenTheTurnChanges_AddressesRotate) {
  EXPECT_THAT(Ask("many.default.bulwark.internal", kA, 0, 3).answer[0],
              HasSubstr("10.210.1.3"));
  EXPECT_THAT(Ask("many.default.bulwark.internal", kA, 0, UINT64_MAX).answer[0],
              HasSubstr("10.210.1."));
}

TEST(ZoneBuildTest, WhenARecordIsWrong_NamesIt) {
  struct Case {
    const char* name;
    std::vector<std::string> ipv4, ipv6;
    int port;
    const char* target;
    const char* message;
  };
  const std::string long_label(64, 'a');
  const Case cases[] = {
      {"", {}, {}, 0, "", "not a name"},
      {"a..b", {}, {}, 0, "", "not a name"},
      {long_label.c_str(), {}, {}, 0, "", "not a name"},
      {"a", {"10.0.0"}, {}, 0, "", "record \"a\""},
      {"a", {"fd00::1"}, {}, 0, "", "family"},
      {"a", {}, {"10.0.0.1"}, 0, "", "family"},
      {"a", {}, {}, 70000, "b", "70000"},
      {"a", {}, {}, 80, "", "not a name"},
  };
  for (const Case& c : cases) {
    dataplane::v1::DnsView view;
    AddRecord(&view, c.name, c.ipv4, c.ipv6, c.port, c.target);
    EXPECT_THAT(
        Zone::Build(view, {}),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)));
  }
}

TEST(ParseQueryTest, WhenAPacketIsNotAQuery_IsClassified) {
  Query query;
  EXPECT_EQ(ParseQuery("", &query), ParseResult::kDrop);
  EXPECT_EQ(ParseQuery("12345678901", &query), ParseResult::kDrop);
  EXPECT_EQ(ParseQuery(MakeQuery("web", kA, 0, kQr), &query),
            ParseResult::kDrop);
  EXPECT_EQ(ParseQuery(MakeQuery("web", kA, 0, 0x2800), &query),
            ParseResult::kNotImp);
  std::string none = MakeQuery("web", kA);
  Write16(&none, 4, 0);
  EXPECT_EQ(ParseQuery(none, &query), ParseResult::kFormErr);
  EXPECT_EQ(query.id, 0x1234);
  std::string pointer = MakeQuery("web", kA);
  pointer[kHeaderSize] = '\xc0';
  EXPECT_EQ(ParseQuery(pointer, &query), ParseResult::kFormErr);
  std::string two_opts = MakeQuery("web", kA, 1232);
  two_opts += two_opts.substr(two_opts.size() - 11);
  Write16(&two_opts, 10, 2);
  EXPECT_EQ(ParseQuery(two_opts, &query), ParseResult::kFormErr);
  std::string cut = MakeQuery("web", kA);
  for (size_t size = kHeaderSize; size < cut.size(); ++size) {
    EXPECT_EQ(ParseQuery(absl::string_view(cut).substr(0, size), &query),
              ParseResult::kFormErr);
  }
}

TEST(ParseQueryTest, WhenANameHoldsOddBytes_CannotBeTakenForAnother) {
  std::string packet = MakeQuery("web.default", kA);
  packet[kHeaderSize] = 11;  // one label "web\7default"
  packet[kHeaderSize + 4] = '.';
  Query query;
  ASSERT_EQ(ParseQuery(packet, &query), ParseResult::kOk);
  EXPECT_EQ(query.name, "web\\046default");
  EXPECT_EQ(query.labels, 1);
}

TEST(MatchesTest, WhenAnAnswerIsForeign_SaysNo) {
  std::string query = MakeQuery("example.com", kA);
  std::string answer = query;
  Write16(&answer, 2, kQr);
  EXPECT_TRUE(Matches(query, query.size(), answer));
  std::string upper = answer;
  upper[kHeaderSize + 1] = 'E';
  EXPECT_TRUE(Matches(query, query.size(), upper));
  EXPECT_FALSE(Matches(query, query.size(), query));  // not an answer
  std::string other_id = answer;
  other_id[0] ^= 1;
  EXPECT_FALSE(Matches(query, query.size(), other_id));
  std::string other_type = answer;
  Write16(&other_type, other_type.size() - 4, kAaaa);
  EXPECT_FALSE(Matches(query, query.size(), other_type));
  EXPECT_FALSE(Matches(query, query.size(), answer.substr(0, 20)));
}

// Random damage to valid queries: never a crash (the sanitizers see reads out
// of bounds), and each answer is readable, small enough, and an answer.
TEST(FuzzTest, WhenPacketsAreDamaged_AnswersStayWellFormed) {
  const Zone zone = TestZone();
  std::mt19937_64 random(20240607);
  const std::string seeds[] = {
      MakeQuery("web", kA),
      MakeQuery("many.default.bulwark.internal", kA, 4096),
      MakeQuery("7.0.211.10.in-addr.arpa", kPtr, 512),
      MakeQuery("_http._tcp.web.default.bulwark.internal", kSrv, 1232),
      MakeQuery("", kAny)};
  int parsed = 0;
  for (int i = 0; i < 60000; ++i) {
    std::string packet = seeds[random() % std::size(seeds)];
    for (uint64_t edits = random() % 6; edits > 0; --edits) {
      size_t at = random() % packet.size();
      switch (random() % 4) {
        case 0:
          packet[at] = static_cast<char>(random());
          break;
        case 1:
          packet.resize(std::max<size_t>(at, 1));
          break;
        case 2:
          packet.insert(at, std::string(random() % 80, '\x3f'));
          break;
        default:
          packet[at] ^= static_cast<char>(1 << (random() % 8));
      }
    }
    // An exact copy on the heap, so that a read past the end is seen.
    std::vector<char> exact(packet.begin(), packet.end());
    absl::string_view view(exact.data(), exact.size());
    Query query;
    if (ParseQuery(view, &query) != ParseResult::kOk) continue;
    ++parsed;
    size_t limit = query.UdpLimit();
    std::string answer = zone.Resolve(view, query, limit, random());
    EXPECT_LE(answer.size(), limit);
    EXPECT_TRUE(Read16(answer, 2) & kQr);
    EXPECT_EQ(Read16(answer, 0), query.id);
    if (i % 16 == 0) Read(answer);
  }
  EXPECT_GT(parsed, 5000);
}

}  // namespace
}  // namespace bulwark::netmesh::dns
