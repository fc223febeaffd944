#include "engine/registry/helpers.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::engine::registry {
namespace {

// What is there sooner than this needs no help.
constexpr absl::Duration kWorthwhile = absl::Seconds(2);

}  // namespace

void RegistryClient::Helpers::Report() {
  if (progress_ != nullptr) progress_(front_ + helped_);
}

absl::Status RegistryClient::Helpers::Take(absl::string_view data) {
  absl::MutexLock lock(&mu_);
  const auto next = parts_.lower_bound(front_);
  const int64_t end = next == parts_.end() ? blob_.size : next->first;
  const int64_t size = static_cast<int64_t>(data.size());
  if (front_ + size > blob_.size && end == blob_.size) {
    return absl::DataLossError(
        absl::StrCat("fetch ", blob_.digest, ": registry ", client_->registry_,
                     " sends more than the ", blob_.size,
                     " bytes that the manifest promises"));
  }
  const int64_t taken = std::min(size, end - front_);
  RETURN_IF_ERROR(to_->Write(data.substr(0, taken)));
  front_ += taken;
  Report();
  if (front_ == end && end < blob_.size) {
    return absl::AbortedError("others fetch the rest");
  }
  StartIfWorthwhile();
  return absl::OkStatus();
}

void RegistryClient::Helpers::StartIfWorthwhile() {
  const RangeOptions& options = client_->options_.ranges;
  if (started_ || blob_.size < options.from) return;
  const absl::Duration took = client_->options_.clock->Steady() - begin_;
  if (took < options.after) return;
  const double share = static_cast<double>(front_ - first_) /
                       static_cast<double>(blob_.size - first_);
  // The download alone, at the rate that it had so far.
  const absl::Duration left = took * (1 - share) / share;
  if (options.after > absl::ZeroDuration() && left < kWorthwhile) return;
  started_ = true;
  for (int i = 0; i < options.helpers; ++i) {
    threads_.emplace_back([this] { Run(); });
  }
}

int64_t RegistryClient::Helpers::Claim() {
  absl::MutexLock lock(&mu_);
  const int64_t begin = back_ - client_->options_.ranges.piece;
  // The download itself is there as soon.
  if (stop_ || begin - client_->options_.ranges.piece < front_) return -1;
  parts_[begin].end = back_;
  back_ = begin;
  return begin;
}

void RegistryClient::Helpers::Run() {
  for (;;) {
    const int64_t begin = Claim();
    if (begin < 0) return;
    const int64_t end = begin + client_->options_.ranges.piece;
    const absl::Status status = Fetch(begin, end);
    absl::MutexLock lock(&mu_);
    if (!status.ok()) {
      parts_.erase(begin);
      return;
    }
    parts_[begin].done = true;
  }
}

absl::Status RegistryClient::Helpers::Fetch(int64_t begin, int64_t end) {
  ASSIGN_OR_RETURN(const std::string base, client_->BaseUrl());
  int64_t at = begin;
  const auto take_back = [&] {
    absl::MutexLock lock(&mu_);
    helped_ -= at - begin;
  };
  for (;;) {
    const int64_t from = at;
    HttpRequest request;
    request.url = absl::StrCat(base, "/v2/", client_->repository_, "/blobs/",
                               blob_.digest);
    request.headers = {absl::StrCat("Range: bytes=", from, "-", end - 1)};
    request.cancelled = [this] {
      return stop_ || (client_->options_.cancelled != nullptr &&
                       client_->options_.cancelled());
    };
    const std::string expected =
        absl::StrCat("bytes ", from, "-", end - 1, "/", blob_.size);
    request.begin = [&expected](const HttpResponse& answer) {
      if (answer.status == 206 && answer.Header("content-range") == expected) {
        return absl::OkStatus();
      }
      return absl::UnimplementedError("no ranges, or others");
    };
    request.sink = [&](int, absl::string_view data) {
      if (at + static_cast<int64_t>(data.size()) > end) {
        return absl::DataLossError("more than was asked for");
      }
      RETURN_IF_ERROR(to_->WriteAt(at, data));
      absl::MutexLock lock(&mu_);
      at += static_cast<int64_t>(data.size());
      helped_ += static_cast<int64_t>(data.size());
      Report();
      return absl::OkStatus();
    };
    const absl::StatusOr<HttpResponse> answer = client_->Exchange(request);
    if (at == end && answer.ok()) return absl::OkStatus();
    // Cut off: once more, if it was of any use.
    if (absl::IsUnavailable(answer.status()) && at > from) continue;
    take_back();
    return answer.ok() ? absl::UnavailableError("it ends early")
                       : answer.status();
  }
}

absl::Status RegistryClient::Helpers::Absorb() {
  for (;;) {
    Part part;
    {
      absl::MutexLock lock(&mu_);
      const int64_t front = front_;
      const auto settled = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
        const auto it = parts_.find(front);
        return it == parts_.end() || it->second.done;
      };
      mu_.Await(absl::Condition(&settled));
      const auto it = parts_.find(front);
      if (it == parts_.end()) return absl::OkStatus();
      part = it->second;
    }
    RETURN_IF_ERROR(to_->Advance(part.end));
    absl::MutexLock lock(&mu_);
    helped_ -= part.end - front_;
    parts_.erase(front_);
    front_ = part.end;
  }
}

void RegistryClient::Helpers::End() {
  stop_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

absl::Status RegistryClient::Helpers::Restart() {
  End();
  absl::MutexLock lock(&mu_);
  started_ = true;  // not again
  parts_.clear();
  front_ = 0;
  helped_ = 0;
  return to_->Restart();
}

}  // namespace bulwark::engine::registry
