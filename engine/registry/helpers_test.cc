// Large blobs, which several connections fetch.
#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/clock.h"
#include "base/testing/status_matchers.h"
#include "engine/image/digest.h"
#include "engine/registry/client.h"
#include "engine/registry/testing/client_fixture.h"
#include "engine/registry/testing/fake_registry.h"

namespace bulwark::engine::registry {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using image::DigestOf;
using testing::FakeRegistry;
using ::testing::HasSubstr;
using testing::HttpServer;
using testing::RegistryFaults;
using testing::ServerRequest;
using testing::ServerResponse;

constexpr int64_t kMiB = 1 << 20;
constexpr int64_t kHeldAt = kMiB / 8;

// The part of `data` that the header wants.
ServerResponse Ranged(const std::string& data, const std::string& range) {
  std::vector<std::string> ends =
      absl::StrSplit(absl::StripPrefix(range, "bytes="), '-');
  size_t first = 0, last = data.size() - 1;
  EXPECT_TRUE(absl::SimpleAtoi(ends[0], &first));
  if (!ends[1].empty()) {
    EXPECT_TRUE(absl::SimpleAtoi(ends[1], &last));
  }
  return {206,
          {absl::StrCat("Content-Range: bytes ", first, "-", last, "/",
                        data.size())},
          data.substr(first, last - first + 1),
          -1};
}

class HelpersTest : public testing::ClientFixture {
 protected:
  HelpersTest() : blobs_(*image::BlobStore::Open(dir_.path())) {
    for (int i = 0; data_.size() < 4 * kMiB; ++i) absl::StrAppend(&data_, i);
    options_.ranges = {kMiB, kMiB / 4, 3, absl::ZeroDuration()};
    // Or else the first connection has it all before there are others.
    faults_.pace = 8 * kMiB;
  }

  absl::StatusOr<std::string> FetchFrom(const std::string& address) {
    RegistryClient client(address, "app", std::nullopt, options_);
    ASSIGN_OR_RETURN(auto ingest, blobs_->NewIngest());
    RETURN_IF_ERROR(client.FetchBlob(
        {"", DigestOf(data_), static_cast<int64_t>(data_.size())}, ingest.get(),
        [this](int64_t bytes) {
          backwards_ = backwards_ || bytes < told_;
          if (bytes_per_second_ > 0) {
            clock_.Advance(absl::Seconds(1) * (bytes - told_) /
                           bytes_per_second_);
          }
          told_ = bytes;
        }));
    RETURN_IF_ERROR(ingest->Commit(DigestOf(data_)));
    return blobs_->ReadAll(DigestOf(data_), 1 << 30);
  }
  absl::StatusOr<std::string> Fetch() {
    registry_ = std::make_unique<FakeRegistry>(faults_);
    registry_->PutBlob("app", data_);
    return FetchFrom(registry_->address());
  }
  // What the download gets; the rest of it once `go_on` holds.
  ServerResponse Held(const ServerRequest& request,
                      std::function<bool()> go_on) const {
    const auto range = request.headers.find("range");
    ServerResponse response = range == request.headers.end()
                                  ? ServerResponse{200, {}, data_, -1}
                                  : Ranged(data_, range->second);
    response.pause_at = kHeldAt;
    response.go_on = std::move(go_on);
    return response;
  }
  int Requests() const { return registry_->Count("GET", "/v2/app/blobs/"); }

  RegistryFaults faults_;
  std::string data_;
  std::atomic<int64_t> told_{0};
  bool backwards_ = false;
  int64_t bytes_per_second_ = 0;  // by `clock_`, which stands if it is 0
  std::unique_ptr<image::BlobStore> blobs_;
  std::unique_ptr<FakeRegistry> registry_;
};

TEST_F(HelpersTest, WhenLarge_SeveralConnectionsFetchIt) {
  EXPECT_THAT(Fetch(), IsOkAndHolds(data_));
  EXPECT_GT(Requests(), 4);
  EXPECT_EQ(told_, static_cast<int64_t>(data_.size()));
  EXPECT_FALSE(backwards_);
}

TEST_F(HelpersTest, WhenSmall_OneDoes) {
  options_.ranges.from = 8 * kMiB;
  EXPECT_THAT(Fetch(), IsOkAndHolds(data_));
  EXPECT_EQ(Requests(), 1);
}

// In half a second, by a clock that goes as the bytes come.
TEST_F(HelpersTest, WhenQuick_OneDoes) {
  bytes_per_second_ = 8 * kMiB;
  options_.ranges.after = absl::Seconds(1);
  EXPECT_THAT(Fetch(), IsOkAndHolds(data_));
  EXPECT_EQ(Requests(), 1);
}

// The wait is not the connection's slowness.
TEST_F(HelpersTest, WhenItHadToWaitFirst_OneDoes) {
  bytes_per_second_ = 8 * kMiB;
  options_.ranges.after = absl::Seconds(1);
  faults_.errors_each = 1;
  faults_.error_status = 429;
  faults_.retry_after = "60";
  const absl::Duration before = clock_.Steady();
  EXPECT_THAT(Fetch(), IsOkAndHolds(data_));
  EXPECT_GE(clock_.Steady() - before, absl::Seconds(60));
  EXPECT_EQ(Requests(), 2);
}

// At 1 MiB a second the rest takes 3 seconds more.
TEST_F(HelpersTest, WhenTheRegistryIsSlow_OthersComeToHelp) {
  RealClock clock;
  options_.clock = &clock;
  options_.ranges.after = absl::Milliseconds(300);
  faults_.pace = kMiB;
  EXPECT_THAT(Fetch(), IsOkAndHolds(data_));
  EXPECT_GT(Requests(), 4);
}

TEST_F(HelpersTest, WhenThereAreNoRanges_OneDoes) {
  faults_.no_ranges = true;
  EXPECT_THAT(Fetch(), IsOkAndHolds(data_));
  EXPECT_LE(Requests(), 4);  // each helper has asked once
}

TEST_F(HelpersTest, WhenAnswersAreReset_TheyGoOn) {
  faults_.resets = 6;
  faults_.reset_after = 100'000;
  EXPECT_THAT(Fetch(), IsOkAndHolds(data_));
}

TEST_F(HelpersTest, WhenTheContentIsWrong_ItsDigestTells) {
  faults_.lies = true;
  EXPECT_THAT(Fetch(), StatusIs(absl::StatusCode::kDataLoss,
                                HasSubstr("content does not match")));
}

// Whether a helper asks; the download asks for all that follows.
bool IsOfHelper(const ServerRequest& request) {
  const auto range = request.headers.find("range");
  return range != request.headers.end() && !absl::EndsWith(range->second, "-");
}

TEST_F(HelpersTest, WhenHelpersAreRefused_TheDownloadDoesAll) {
  for (const int status : {403, 429, 503}) {
    std::atomic<int> refused{0};
    HttpServer server([&](const ServerRequest& request) -> ServerResponse {
      if (request.path == "/v2/") return {};
      if (IsOfHelper(request)) {
        ++refused;
        return {status, {"Retry-After: 60"}, "", -1};
      }
      return Held(request, [&refused] { return refused == 3; });
    });
    const absl::Duration before = clock_.Steady();
    EXPECT_THAT(FetchFrom(server.address()), IsOkAndHolds(data_));
    EXPECT_EQ(refused, 3) << status;
    EXPECT_EQ(clock_.Steady(), before);  // nobody waits for them
    ASSERT_OK(blobs_->Remove(DigestOf(data_)));
  }
}

// Though some bytes came: else there would be hundreds of requests in a row.
TEST_F(HelpersTest, WhenHelpersAreCutSoon_EachAsksOnce) {
  std::atomic<int> asked{0};
  HttpServer server([&](const ServerRequest& request) -> ServerResponse {
    if (request.path == "/v2/") return {};
    if (!IsOfHelper(request)) {
      return Held(request, [this] { return told_ >= kHeldAt + 3 * 1000; });
    }
    ++asked;
    ServerResponse response = Ranged(data_, request.headers.at("range"));
    response.reset_after = 1000;
    return response;
  });
  EXPECT_THAT(FetchFrom(server.address()), IsOkAndHolds(data_));
  EXPECT_EQ(asked, 3);
  EXPECT_FALSE(backwards_);
}

TEST_F(HelpersTest, WhenAHelperIsCutLate_ItWaitsAndGoesOn) {
  options_.ranges.piece = 3 * kMiB / 2;
  options_.ranges.helpers = 1;
  std::vector<std::string> ranges;
  std::atomic<int> asked{0};
  HttpServer server([&](const ServerRequest& request) -> ServerResponse {
    if (request.path == "/v2/") return {};
    if (!IsOfHelper(request)) {
      return Held(request, [&asked] { return asked == 2; });
    }
    ranges.push_back(request.headers.at("range"));
    ServerResponse response = Ranged(data_, ranges.back());
    if (++asked == 1) response.reset_after = kMiB + 1000;
    return response;
  });
  const absl::Duration before = clock_.Steady();
  EXPECT_THAT(FetchFrom(server.address()), IsOkAndHolds(data_));
  EXPECT_GT(clock_.Steady(), before);
  const int64_t end = data_.size();
  const int64_t begin = end - options_.ranges.piece;
  EXPECT_EQ(ranges,
            (std::vector<std::string>{
                absl::StrCat("bytes=", begin, "-", end - 1),
                absl::StrCat("bytes=", begin + kMiB + 1000, "-", end - 1)}));
}

// Even if there are no ranges: it need not ask for any.
TEST_F(HelpersTest, WhenHelpersGetNothing_TheDownloadAsksOnce) {
  std::atomic<int> asked{0}, others{0};
  std::atomic<bool> end{false};
  HttpServer server([&](const ServerRequest& request) -> ServerResponse {
    if (request.path == "/v2/") return {};
    if (!IsOfHelper(request)) {
      ++others;
      return Held(request, [&asked] { return asked == 3; });
    }
    ++asked;
    ServerResponse response = Ranged(data_, request.headers.at("range"));
    response.go_on = [&end] { return end.load(); };
    return response;
  });
  EXPECT_THAT(FetchFrom(server.address()), IsOkAndHolds(data_));
  end = true;
  EXPECT_EQ(asked, 3);
  EXPECT_EQ(others, 1);
}

// The download comes to their parts, and waits for none of them.
TEST_F(HelpersTest, WhenHelpersHang_TheDownloadGoesOnWhereTheyGotTo) {
  std::vector<std::string> ranges;
  std::atomic<bool> end{false};
  HttpServer server([&](const ServerRequest& request) -> ServerResponse {
    if (request.path == "/v2/") return {};
    if (IsOfHelper(request)) {
      ServerResponse response = Ranged(data_, request.headers.at("range"));
      response.pause_at = 1000;
      response.go_on = [&end] { return end.load(); };
      return response;
    }
    const auto range = request.headers.find("range");
    if (range != request.headers.end()) ranges.push_back(range->second);
    return Held(request, [this] { return told_ >= kHeldAt + 3 * 1000; });
  });
  EXPECT_THAT(FetchFrom(server.address()), IsOkAndHolds(data_));
  end = true;
  EXPECT_FALSE(backwards_);
  EXPECT_EQ(told_, static_cast<int64_t>(data_.size()));
  std::vector<std::string> expected;
  for (int part = 3; part > 0; --part) {
    const int64_t begin = data_.size() - part * options_.ranges.piece;
    expected.push_back(absl::StrCat("bytes=", begin + 1000, "-"));
  }
  EXPECT_EQ(ranges, expected);
}

// Helpers begin, and then fail: their parts are the download's.
TEST_F(HelpersTest, WhenHelpersFail_TheirPartsAreFetchedAllTheSame) {
  std::atomic<int> ranges{0};
  HttpServer server([&](const ServerRequest& request) -> ServerResponse {
    if (request.path == "/v2/") return {};
    const auto range = request.headers.find("range");
    ServerResponse response = range == request.headers.end()
                                  ? ServerResponse{200, {}, data_, -1}
                                  : Ranged(data_, range->second);
    response.pace = 8 * kMiB;
    if (IsOfHelper(request) && ++ranges % 2 == 0) {
      response.body.resize(response.body.size() - 1);  // cleanly, too early
      response.promised = static_cast<int64_t>(response.body.size());
    }
    return response;
  });
  EXPECT_THAT(FetchFrom(server.address()), IsOkAndHolds(data_));
  EXPECT_GE(ranges, 2);
}

// The first answer is cut; what asks for the rest of it gets all of it.
TEST_F(HelpersTest, WhenTheDownloadBeginsAnew_NothingIsMixed) {
  std::atomic<int> whole{0};
  HttpServer server([&](const ServerRequest& request) -> ServerResponse {
    if (request.path == "/v2/") return {};
    if (IsOfHelper(request)) {
      return Ranged(data_, request.headers.at("range"));
    }
    ServerResponse response{200, {}, data_, -1};
    response.pace = 8 * kMiB;
    if (++whole == 1) response.reset_after = kMiB / 2;
    return response;
  });
  EXPECT_THAT(FetchFrom(server.address()), IsOkAndHolds(data_));
  EXPECT_EQ(whole, 2);
}

TEST_F(HelpersTest, WhenCancelled_AllEnd) {
  faults_.pace = kMiB / 4;
  options_.cancelled = [this] { return told_ > kMiB / 4; };
  EXPECT_THAT(Fetch(), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_LT(told_, 3 * kMiB);
}

}  // namespace
}  // namespace bulwark::engine::registry
