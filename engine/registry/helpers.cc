#include "engine/registry/helpers.h"

#include <algorithm>
#include <utility>

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

void RegistryClient::Helpers::Begin() {
  last_ = client_->options_.clock->Steady();
}

absl::Status RegistryClient::Helpers::Take(absl::string_view data) {
  const absl::Duration now = client_->options_.clock->Steady();
  took_ += now - last_;
  last_ = now;
  absl::MutexLock lock(&mu_);
  const int64_t size = static_cast<int64_t>(data.size());
  auto next = parts_.lower_bound(front_);
  // A part of which nothing is there comes with this answer as well.
  while (next != parts_.end() && next->first <= front_ + size &&
         next->second.at == next->first) {
    next = parts_.erase(next);
  }
  const int64_t end = next == parts_.end() ? blob_.size : next->first;
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
  if (started_ || blob_.size < options.from || front_ <= first_) return;
  if (took_ < options.after) return;
  const double share = static_cast<double>(front_ - first_) /
                       static_cast<double>(blob_.size - first_);
  // The download alone, at the rate that it had so far.
  const absl::Duration left = took_ * (1 - share) / share;
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
  parts_[begin] = {back_, begin};
  back_ = begin;
  return begin;
}

void RegistryClient::Helpers::Run() {
  for (;;) {
    const int64_t begin = Claim();
    if (begin < 0) return;
    // What has come of a part stays, and the download goes on from there.
    if (!Fetch(begin, begin + client_->options_.ranges.piece)) return;
  }
}

int64_t RegistryClient::Helpers::At(int64_t begin) {
  absl::MutexLock lock(&mu_);
  const auto it = parts_.find(begin);
  return it == parts_.end() ? -1 : it->second.at;
}

bool RegistryClient::Helpers::Ended(int64_t begin) {
  return stop_ || At(begin) < 0 ||
         (client_->options_.cancelled != nullptr &&
          client_->options_.cancelled());
}

absl::Status RegistryClient::Helpers::Put(int64_t begin,
                                          absl::string_view data) {
  const int64_t size = static_cast<int64_t>(data.size());
  // Also while it writes: where a part was taken, the download does.
  absl::MutexLock lock(&mu_);
  const auto it = parts_.find(begin);
  if (it == parts_.end()) return absl::CancelledError("it was taken");
  Part& part = it->second;
  if (part.at + size > part.end) {
    return absl::DataLossError("more than was asked for");
  }
  RETURN_IF_ERROR(to_->WriteAt(part.at, data));
  part.at += size;
  helped_ += size;
  Report();
  return absl::OkStatus();
}

bool RegistryClient::Helpers::Fetch(int64_t begin, int64_t end) {
  const absl::StatusOr<std::string> base = client_->BaseUrl();
  if (!base.ok()) return false;
  const auto ended = [this, begin] { return Ended(begin); };
  for (int attempt = 0; attempt < client_->options_.max_attempts; ++attempt) {
    const int64_t from = At(begin);
    if (from < 0) return false;
    HttpRequest request;
    request.url = absl::StrCat(*base, "/v2/", client_->repository_, "/blobs/",
                               blob_.digest);
    request.headers = {absl::StrCat("Range: bytes=", from, "-", end - 1)};
    request.cancelled = ended;
    const std::string expected =
        absl::StrCat("bytes ", from, "-", end - 1, "/", blob_.size);
    request.begin = [&expected](const HttpResponse& answer) {
      if (answer.status == 206 && answer.Header("content-range") == expected) {
        return absl::OkStatus();
      }
      return absl::UnimplementedError("no ranges, or others");
    };
    request.sink = [this, begin](int, absl::string_view data) {
      return Put(begin, data);
    };
    const absl::Status status = client_->Exchange(request).status();
    const int64_t at = At(begin);
    if (at == end) return true;
    // Cut off: the download has more patience, unless it was of much use.
    if (!absl::IsUnavailable(status) || at < from + kProgressBytes) break;
    if (!client_->Wait(attempt, nullptr, ended).ok()) break;
  }
  return false;
}

absl::Status RegistryClient::Helpers::Absorb() {
  for (;;) {
    Part part;
    {
      absl::MutexLock lock(&mu_);
      const auto it = parts_.find(front_);
      if (it == parts_.end()) return absl::OkStatus();
      part = it->second;
      parts_.erase(it);  // which ends a helper that is at it
    }
    RETURN_IF_ERROR(to_->Advance(part.at));
    absl::MutexLock lock(&mu_);
    helped_ -= part.at - front_;
    front_ = part.at;
    if (part.at < part.end) return absl::OkStatus();
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
