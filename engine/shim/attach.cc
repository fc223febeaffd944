#include "engine/shim/attach.h"

#include <linux/errno.h>
#include <linux/eventpoll.h>

#include "engine/child/frame.h"
#include "engine/child/sys.h"

namespace bulwark::shim {

using child::Arg;
using child::Sys;

namespace {

constexpr int kDontWait = 0x40;      // MSG_DONTWAIT
constexpr int kNoSignal = 0x4000;    // MSG_NOSIGNAL
constexpr uint64_t kSlow = 5000000;  // ns between two looks

struct IoVector {
  const void* base;
  size_t size;
};

int SendParts(int socket, IoVector* parts, size_t count) {
  struct {
    void* name;
    unsigned name_size;
    void* vectors;
    size_t vector_count;
    void* control;
    size_t control_size;
    int flags;
  } message = {};
  message.vectors = parts;
  message.vector_count = count;
  long n = -EINTR;
  while (n == -EINTR) {
    n = Sys(__NR_sendmsg, socket, Arg(&message), kDontWait | kNoSignal);
  }
  return n < 0 ? static_cast<int>(n) : 0;
}

void PutHeader(uint8_t* at, uint8_t stream, size_t size) {
  at[0] = stream;
  child::PutInt(at + 1, size, 3);
}

}  // namespace

void Attach::Open(int epoll, int input, bool terminal, bool keep) {
  epoll_ = epoll;
  input_ = input;
  terminal_ = terminal;
  keep_ = keep;
  if (input_ < 0) return;
  epoll_event event = {};
  event.events = EPOLLET;
  event.data = static_cast<uint64_t>(input_);
  Sys(__NR_epoll_ctl, epoll_, EPOLL_CTL_ADD, input_, Arg(&event));
}

uint64_t Attach::streams() const {
  return (terminal_ ? uint64_t{child::kStreamTerminal} : 0) |
         (input_ >= 0 && !closing_ ? uint64_t{child::kStreamInput} : 0);
}

int Attach::Add(int socket, uint64_t flags) {
  Reader* reader = nullptr;
  for (Reader& r : readers_) {
    if (r.fd < 0 && reader == nullptr) reader = &r;
  }
  int result = reader == nullptr ? -EUSERS : 0;
  if (result == 0 && (flags & child::kAttachReplay) != 0) {
    result = Replay(socket);
  }
  if (result < 0) {
    child::Close(socket);
    return result;
  }
  reader->fd = socket;
  reader->input = (flags & child::kAttachInput) != 0;
  reader->patient = (flags & child::kAttachPatient) != 0;
  reader->behind = false;
  met_ = true;
  Watch(*reader, EPOLL_CTL_ADD);
  return 0;
}

// A reader whose input has to wait is only watched for its end, and that once:
// it is looked at again later.
void Attach::Watch(const Reader& reader, int operation) const {
  epoll_event event = {};
  event.events =
      (blocked_ ? EPOLLET : EPOLLIN) | (reader.behind ? EPOLLOUT : 0u);
  event.data = static_cast<uint64_t>(reader.fd);
  Sys(__NR_epoll_ctl, epoll_, operation, reader.fd, Arg(&event));
}

void Attach::WatchAll() const {
  for (const Reader& reader : readers_) {
    if (reader.fd >= 0) Watch(reader, EPOLL_CTL_MOD);
  }
}

void Attach::Drop(Reader& reader) {
  if (reader.behind) --held_;
  reader.behind = false;
  child::Close(reader.fd);
  reader.fd = -1;
}

void Attach::Keep(uint8_t stream, const uint8_t* data, size_t size) {
  if (size > kKept) {
    kept_ += size - kKept;
    data += size - kKept;
    size = kKept;
  }
  const bool error = stream == child::kChunkError;
  for (size_t i = 0; i < size;) {
    const size_t at = (kept_ + i) % kKept;
    const uint8_t bit = static_cast<uint8_t>(1u << (at % 8));
    if (at % 8 == 0 && size - i >= 8) {
      for (size_t k = 0; k < 8; ++k) data_[at + k] = data[i + k];
      is_error_[at / 8] = error ? 0xff : 0;
      i += 8;
      continue;
    }
    data_[at] = data[i];
    is_error_[at / 8] = static_cast<uint8_t>(error ? is_error_[at / 8] | bit
                                                   : is_error_[at / 8] & ~bit);
    ++i;
  }
  kept_ += size;
}

// The kept output in as few messages as possible: chunks of one stream each.
int Attach::Replay(int socket) {
  uint64_t at = kept_ > kKept ? kept_ - kKept : 0;
  while (at < kept_) {
    size_t used = 0;
    while (at < kept_ && used + child::kAttachHeader < sizeof(replay_)) {
      uint8_t* header = replay_ + used;
      used += child::kAttachHeader;
      const auto is_error = [this](uint64_t byte) {
        const size_t i = byte % kKept;
        return (is_error_[i / 8] >> (i % 8) & 1) != 0;
      };
      const bool error = is_error(at);
      size_t size = 0;
      while (at < kept_ && used < sizeof(replay_) && is_error(at) == error) {
        replay_[used++] = data_[at++ % kKept];
        ++size;
      }
      PutHeader(header, error ? child::kChunkError : child::kChunkOutput, size);
    }
    IoVector part = {replay_, used};
    const int result = SendParts(socket, &part, 1);
    if (result < 0) return result;
  }
  return 0;
}

int Attach::SendPending(const Reader& reader) {
  uint8_t header[child::kAttachHeader];
  PutHeader(header, stream_, pending_size_);
  IoVector parts[2] = {{header, sizeof(header)}, {pending_, pending_size_}};
  return SendParts(reader.fd, parts, 2);
}

void Attach::Write(uint8_t stream, const uint8_t* data, size_t size) {
  if (keep_) Keep(stream, data, size);
  stream_ = stream;
  pending_ = data;
  pending_size_ = size;
  for (Reader& reader : readers_) {
    if (reader.fd < 0) continue;
    const int result = SendPending(reader);
    if (result == 0) continue;
    if (result != -EAGAIN || !reader.patient) {
      Drop(reader);
      continue;
    }
    reader.behind = true;
    if (held_++ == 0) deadline_ = child::MonotonicNanoseconds() + kPatience;
    Watch(reader, EPOLL_CTL_MOD);
  }
}

void Attach::Deliver(Reader& reader) {
  const int result = SendPending(reader);
  if (result == -EAGAIN) return;
  if (result < 0) {
    Drop(reader);
    return;
  }
  --held_;
  reader.behind = false;
  Watch(reader, EPOLL_CTL_MOD);
}

bool Attach::OnEvent(int fd, uint32_t events) {
  if (fd == input_ && fd >= 0) {
    Flush();
    return true;
  }
  for (Reader& reader : readers_) {
    if (reader.fd != fd) continue;
    if (reader.behind && (events & EPOLLOUT) != 0) Deliver(reader);
    if (reader.fd == fd && !blocked_ &&
        (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
      Receive(reader);
    } else if (reader.fd == fd && reader.behind && (events & EPOLLHUP) != 0) {
      Drop(reader);
    }
    return true;
  }
  return false;
}

int Attach::Timeout() const {
  if (held_ == 0) return -1;
  const uint64_t now = child::MonotonicNanoseconds();
  return now >= deadline_ ? 0
                          : static_cast<int>((deadline_ - now) / 1000000) + 1;
}

void Attach::OnTimeout() {
  if (held_ == 0 || child::MonotonicNanoseconds() < deadline_) return;
  for (Reader& reader : readers_) {
    if (reader.fd >= 0 && reader.behind) Drop(reader);
  }
}

void Attach::Settle(uint64_t deadline) {
  while (held_ > 0 && child::MonotonicNanoseconds() < deadline) {
    for (Reader& reader : readers_) {
      if (reader.fd >= 0 && reader.behind) Deliver(reader);
    }
    if (held_ == 0) return;
    const struct { int64_t seconds, nanoseconds; } pause = {0, kSlow};
    Sys(__NR_nanosleep, Arg(&pause), 0);
  }
  deadline_ = 0;
  OnTimeout();
}

void Attach::Receive(Reader& reader) {
  long n = -EINTR;
  while (n == -EINTR) {
    n = Sys(__NR_recvfrom, reader.fd, Arg(input_buffer_), sizeof(input_buffer_),
            kDontWait, 0, 0);
  }
  if (n == -EAGAIN) return;
  if (n <= 0) {
    Drop(reader);
    return;
  }
  if (n < static_cast<long>(child::kAttachHeader) || !reader.input ||
      input_ < 0 || closing_) {
    return;  // nobody takes it any more
  }
  if (input_buffer_[0] == child::kChunkCloseInput && !terminal_) {
    closing_ = true;
    CloseInput();
  } else if (input_buffer_[0] == child::kChunkInput) {
    input_done_ = child::kAttachHeader;
    input_size_ = static_cast<size_t>(n);
    Flush();
  }
}

void Attach::CloseInput() {
  child::Close(input_);
  input_ = -1;
  input_size_ = input_done_ = 0;
}

// Writes what came to the container, as far as it takes it.
void Attach::Flush() {
  const bool was_blocked = blocked_;
  blocked_ = false;
  while (input_ >= 0 && input_done_ < input_size_) {
    const long n = child::Write(input_, input_buffer_ + input_done_,
                                input_size_ - input_done_);
    if (n == -EAGAIN) {
      blocked_ = true;
      break;
    }
    if (n < 0) {  // it reads no more
      closing_ = true;
      CloseInput();
      break;
    }
    input_done_ += static_cast<size_t>(n);
  }
  if (blocked_ == was_blocked) return;
  if (input_ >= 0) {
    epoll_event event = {};
    event.events = blocked_ ? EPOLLOUT : EPOLLET;
    event.data = static_cast<uint64_t>(input_);
    Sys(__NR_epoll_ctl, epoll_, EPOLL_CTL_MOD, input_, Arg(&event));
  }
  WatchAll();
}

}  // namespace bulwark::shim
