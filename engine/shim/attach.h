// Those who are attached to a container's standard streams, each over a socket
// of its own (docs/formats/shim-protocol.md). What one of them has not taken
// yet waits in the kernel's queue of that socket; who lets it run full is
// dropped, or, if he asked for that, waited for a while. Nobody else notices.
#ifndef ENGINE_SHIM_ATTACH_H_
#define ENGINE_SHIM_ATTACH_H_

#include <stddef.h>
#include <stdint.h>

#include "engine/child/wire.h"

namespace bulwark::shim {

class Attach {
 public:
  static constexpr int kReaders = 128;
  // How long the output may stand still for somebody who is waited for.
  static constexpr uint64_t kPatience = 10'000'000'000;  // ns

  // `epoll` watches all that is added. `input`: where input goes, not
  // blocking; -1: nowhere. `terminal`: its end is no end of a file. `keep`: the
  // newest output is kept for those who ask for a replay.
  void Open(int epoll, int input, bool terminal, bool keep);

  // Takes the socket over: closes it on an error. `flags`: child::AttachFlag.
  // 0 or a negative errno.
  int Add(int socket, uint64_t flags);
  // AttachStreams of this container.
  uint64_t streams() const;

  // Hands output on. Not while held(): then `data` of the call before must
  // stay as it is.
  void Write(uint8_t stream, const uint8_t* data, size_t size);
  bool held() const { return held_ > 0; }
  // Somebody has been attached.
  bool met() const { return met_; }
  // How much more can be put out before what is kept is not all of it.
  size_t Room() const { return kept_ < kKept ? kKept - kept_ : 0; }

  // Handles what epoll says of `fd`; false if that is not ours.
  bool OnEvent(int fd, uint32_t events);
  // Until OnTimeout() has to be called, in ms; -1: never.
  int Timeout() const;
  void OnTimeout();

  // Waits for those that are waited for until `deadline` at most, then drops
  // them: not held() afterwards.
  void Settle(uint64_t deadline);

 private:
  static constexpr size_t kKept = 64 << 10;
  static constexpr size_t kInput = child::kAttachChunk;

  struct Reader {
    int fd = -1;
    bool input = false;
    bool patient = false;
    bool behind = false;  // has to get `pending_`
  };

  void Keep(uint8_t stream, const uint8_t* data, size_t size);
  int Replay(int socket);
  int SendPending(const Reader& reader);
  void Deliver(Reader& reader);
  void Watch(const Reader& reader, int operation) const;
  void WatchAll() const;
  void Drop(Reader& reader);
  void Receive(Reader& reader);
  void Flush();
  void CloseInput();

  int epoll_ = -1;
  int input_ = -1;
  bool terminal_ = false;
  bool keep_ = false;
  bool met_ = false;
  bool blocked_ = false;  // the container takes no input now
  bool closing_ = false;  // its input ends after what it has not taken yet
  int held_ = 0;
  uint64_t deadline_ = 0;  // of those who are behind
  uint8_t stream_ = 0;     // of `pending_`
  const uint8_t* pending_ = nullptr;
  size_t pending_size_ = 0;
  size_t input_size_ = 0;
  size_t input_done_ = 0;
  uint64_t kept_ = 0;  // bytes ever put out
  Reader readers_[kReaders];
  // Pages of these cost memory only once they are used.
  uint8_t input_buffer_[child::kAttachHeader + kInput];
  uint8_t replay_[32 << 10];
  uint8_t data_[kKept];
  uint8_t is_error_[kKept / 8];  // of each byte of `data_`, a bit
};

}  // namespace bulwark::shim

#endif  // ENGINE_SHIM_ATTACH_H_
