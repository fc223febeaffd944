#include "api/log_stream.h"

#include <algorithm>
#include <utility>

#include "api/convert.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

// How long a new line may wait in a log that was quiet.
constexpr absl::Duration kQuiet = absl::Milliseconds(50);
constexpr int kMostInRound = 256;

v1::LogLine LineOf(const ContainerRef& ref, const engine::LogEntry& entry) {
  v1::LogLine line;
  line.set_replica(ref.replica);
  line.set_container(ref.container);
  *line.mutable_time() = ToTimestamp(entry.time);
  line.set_is_stderr(entry.is_stderr);
  line.set_line(entry.line);
  line.set_partial(entry.partial);
  return line;
}

}  // namespace

LogStream::LogStream(store::MetadataStore& store, engine::Engine& engine,
                     Clock& clock, const v1::LogsRequest& request)
    : store_(store), engine_(engine), clock_(clock), request_(request) {}

absl::Status LogStream::Refresh(bool first) {
  absl::StatusOr<LogTargets> targets = FindLogTargets(store_, request_);
  if (!first && absl::IsNotFound(targets.status())) {
    final_ = true;  // it has gone while we followed
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(targets.status());
  final_ = targets->final;
  revision_ = targets->revision;
  engine::LogOptions options;
  options.follow = request_.follow();
  if (request_.has_since()) options.since = ToTime(request_.since());
  if (request_.has_until()) options.until = ToTime(request_.until());
  // Of a container that starts later, every line is new.
  if (first && request_.has_tail()) options.tail = request_.tail();
  for (ContainerRef& ref : targets->containers) {
    if (seen_.count(ref.id) > 0) continue;
    absl::StatusOr<std::unique_ptr<engine::LogReader>> reader =
        engine_.Logs(ref.id, options);
    // Its container has been removed, with its log, or is not there yet.
    if (absl::IsNotFound(reader.status())) continue;
    seen_.insert(ref.id);
    if (!reader.ok()) {
      failure_.Update(Annotate(reader.status(), ref.replica));
      continue;
    }
    sources_.push_back({std::move(ref), *std::move(reader), std::nullopt});
  }
  return absl::OkStatus();
}

bool LogStream::Fill(Source& source) {
  if (source.head.has_value()) return true;
  absl::StatusOr<engine::LogEntry> entry =
      source.reader->Next(absl::ZeroDuration());
  if (entry.ok()) {
    source.head = *std::move(entry);
    return true;
  }
  if (absl::IsDeadlineExceeded(entry.status())) return true;
  if (!absl::IsOutOfRange(entry.status()) &&
      !absl::IsNotFound(entry.status()) && !absl::IsCancelled(entry.status())) {
    failure_.Update(Annotate(entry.status(), source.ref.replica));
  }
  return false;
}

LogStream::Source* LogStream::Oldest() {
  Source* oldest = nullptr;
  for (Source& source : sources_) {
    if (!source.head.has_value()) continue;
    if (oldest == nullptr || source.head->time < oldest->head->time) {
      oldest = &source;
    }
  }
  return oldest;
}

absl::StatusOr<bool> LogStream::SendRound(Send send) {
  sources_.erase(
      std::remove_if(sources_.begin(), sources_.end(),
                     [this](Source& source) { return !Fill(source); }),
      sources_.end());
  for (int i = 0; i < kMostInRound; ++i) {
    Source* source = Oldest();
    if (source == nullptr) break;
    const v1::LogLine line = LineOf(source->ref, *source->head);
    source->head.reset();
    if (!send(line)) return false;
    // A log that has ended is dropped in the next round.
    Fill(*source);
  }
  return true;
}

bool LogStream::IsOver() const {
  return request_.has_until() && clock_.Now() >= ToTime(request_.until());
}

absl::StatusOr<bool> LogStream::WaitForChange() {
  if (watcher_ == nullptr) {
    store::Filter filter;
    filter.project = ProjectOr(request_.project());
    ASSIGN_OR_RETURN(watcher_, store_.Watch(revision_, filter));
  }
  absl::StatusOr<std::vector<store::Change>> changes = watcher_->Next(kQuiet);
  if (absl::IsOutOfRange(changes.status())) {
    watcher_ = nullptr;  // too far behind: look again at everything
    return true;
  }
  RETURN_IF_ERROR(changes.status());
  return std::any_of(
      changes->begin(), changes->end(), [](const store::Change& change) {
        return change.key.kind == "replica" || change.key.kind == "service" ||
               change.key.kind == "job";
      });
}

absl::Status LogStream::Run(Send send, Done done) {
  if (request_.has_tail() && request_.tail() < 0) {
    return absl::InvalidArgumentError("read logs: tail is negative");
  }
  if (request_.previous() && request_.follow()) {
    return absl::InvalidArgumentError(
        "read logs: those of a replica that has ended cannot be followed; "
        "leave "
        "one of previous and follow out");
  }
  RETURN_IF_ERROR(Refresh(true));
  while (!done()) {
    ASSIGN_OR_RETURN(const bool sent, SendRound(send));
    if (!sent) return absl::OkStatus();
    if (Oldest() != nullptr) continue;
    if (sources_.empty() && (final_ || !request_.follow() || IsOver())) break;
    if (!request_.follow()) continue;
    ASSIGN_OR_RETURN(const bool changed, WaitForChange());
    if (changed) RETURN_IF_ERROR(Refresh(false));
  }
  return failure_;
}

}  // namespace bulwark::api
