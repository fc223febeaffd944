#include "engine/fake/fake_attach.h"

#include <sys/eventfd.h>

#include <utility>

#include "base/status.h"
#include "base/unique_fd.h"

namespace bulwark::engine {

class FakeAttachSession final : public AttachSession {
 public:
  FakeAttachSession(std::shared_ptr<FakeStreams> streams, UniqueFd wake,
                    bool replay)
      : streams_(std::move(streams)), wake_(std::move(wake)) {
    absl::MutexLock lock(&streams_->mu_);
    next_ = replay ? 0 : streams_->output_.size();
    input_ = streams_->has_input_ && !streams_->input_closed_;
    streams_->wakes_.insert(wake_.get());
    streams_->WakeAll();
  }
  ~FakeAttachSession() override {
    absl::MutexLock lock(&streams_->mu_);
    streams_->wakes_.erase(wake_.get());
  }

  bool terminal() const override { return streams_->terminal_; }
  bool has_input() const override { return input_; }
  // Of an eventfd: readable with news, always writable.
  int fd() override { return wake_.get(); }

  absl::StatusOr<std::vector<AttachChunk>> Read() override {
    eventfd_t ignored;
    absl::MutexLock lock(&streams_->mu_);
    std::vector<AttachChunk> chunks(
        streams_->output_.begin() + static_cast<std::ptrdiff_t>(next_),
        streams_->output_.end());
    next_ = streams_->output_.size();
    if (!streams_->closed_) {
      eventfd_read(wake_.get(), &ignored);
    } else if (chunks.empty()) {
      return absl::OutOfRangeError("read from container: it has exited");
    }
    return chunks;
  }

  absl::StatusOr<size_t> Write(absl::string_view data) override {
    absl::MutexLock lock(&streams_->mu_);
    if (streams_->has_input_ && !streams_->input_closed_) {
      streams_->input_.append(data.data(), data.size());
      if (streams_->echo_) {
        streams_->output_.push_back({false, std::string(data)});
        streams_->WakeAll();
      }
    }
    return data.size();
  }

  absl::StatusOr<bool> CloseInput() override {
    absl::MutexLock lock(&streams_->mu_);
    if (streams_->terminal_) {
      streams_->input_.append("\x04");
    } else {
      streams_->input_closed_ = true;
    }
    return true;
  }

  absl::Status Resize(int rows, int columns) override {
    return terminal() ? absl::OkStatus()
                      : absl::FailedPreconditionError(
                            "resize terminal: the container has none");
  }

 private:
  const std::shared_ptr<FakeStreams> streams_;
  const UniqueFd wake_;
  bool input_ = false;
  size_t next_ = 0;
};

void FakeStreams::WakeAll() {
  for (const int wake : wakes_) eventfd_write(wake, 1);
}

void FakeStreams::Print(absl::string_view data, bool is_error) {
  absl::MutexLock lock(&mu_);
  output_.push_back({is_error && !terminal_, std::string(data)});
  WakeAll();
}

void FakeStreams::Close() {
  absl::MutexLock lock(&mu_);
  closed_ = true;
  WakeAll();
}

std::string FakeStreams::input() {
  absl::MutexLock lock(&mu_);
  return input_;
}

bool FakeStreams::input_closed() {
  absl::MutexLock lock(&mu_);
  return input_closed_;
}

int FakeStreams::attached() {
  absl::MutexLock lock(&mu_);
  return static_cast<int>(wakes_.size());
}

absl::StatusOr<std::unique_ptr<AttachSession>> FakeStreams::Attach(
    std::shared_ptr<FakeStreams> streams, const AttachOptions& options) {
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.ok()) return ErrnoStatus("make", "event");
  return std::make_unique<FakeAttachSession>(std::move(streams),
                                             std::move(wake), options.replay);
}

}  // namespace bulwark::engine
