// Steps that wait for who ordered the launch.
#include <linux/errno.h>

#include "engine/child/frame.h"
#include "engine/child/spin.h"
#include "engine/child/steps.h"
#include "engine/child/sys.h"
#include "engine/child/wire.h"

namespace bulwark::child {
namespace {

constexpr int kSolSocket = 1;
constexpr int kScmRights = 1;
constexpr uint64_t kSpin = 200'000;  // ns: an answer without hooks
constexpr int kNoSignal = 0x4000;    // MSG_NOSIGNAL

// Says which point is reached, with the terminal if there is one, and waits. An
// answer of one byte 1 lets us go on.
int Sync(Context* c, const Step& s) {
  if (c->status_fd < 0) return -EINVAL;
  uint8_t frame[64];
  FrameWriter writer(frame, sizeof(frame), kMsgSync);
  writer.Int(kTagPhase, s.value);
  if (s.value == kSyncReady) {
    writer.Int(kTagAddress, reinterpret_cast<uintptr_t>(&c->handed_over));
  }
  const int master = (s.flags & kTerminal) != 0 ? c->slots[kSlotPtyMaster] : -1;
  int result = SendPacket(c->status_fd, frame, writer.size(), master);
  if (result < 0) return result;
  SpinForInput(c->status_fd, kSpin);
  char answer = 0;
  const long n = Read(c->status_fd, &answer, 1);
  if (n < 0) return static_cast<int>(n);
  return n == 1 && answer == 1 ? 0 : -ECANCELED;
}

// The FIFO is open for reading and writing: without a writer there is no end
// of file. Closing it, by executing or dying, is the answer to who wrote.
int AwaitStart(Context* c, const Step& s) {
  if (s.slot < 0 || s.slot2 < 0) return -EINVAL;
  char byte = 0;
  const long n = Read(c->slots[s.slot], &byte, 1);
  if (n != 1) return n < 0 ? static_cast<int>(n) : -EIO;
  c->start_fd = c->slots[s.slot];
  const int result = Sys(__NR_dup3, c->slots[s.slot2], c->status_fd, O_CLOEXEC);
  return result < 0 ? result : 0;
}

// Who may say so may also die, and takes the launch with him.
int Gate(Context* c) {
  char byte = 0;
  const long n = Read(c->slots[kSlotGate], &byte, 1);
  if (n < 0) return static_cast<int>(n);
  return n == 1 ? 0 : -ECANCELED;
}

}  // namespace

int SendPacket(int socket, const uint8_t* data, size_t size, int passed) {
  struct {
    const void* base;
    size_t size;
  } vector = {data, size};
  struct {
    size_t size;
    int level, type;
    int fd, pad;
  } rights = {20, kSolSocket, kScmRights, passed, 0};
  struct {
    void* name;
    unsigned name_size;
    void* vectors;
    size_t vector_count;
    void* control;
    size_t control_size;
    int flags;
  } message = {};
  message.vectors = &vector;
  message.vector_count = 1;
  if (passed >= 0) {
    message.control = &rights;
    message.control_size = sizeof(rights);
  }
  return Sys(__NR_sendmsg, socket, Arg(&message), kNoSignal);
}

int RunSyncStep(Context* c, const Step& s) {
  switch (s.kind) {
    case StepKind::kSync:
      return Sync(c, s);
    case StepKind::kAwaitStart:
      return AwaitStart(c, s);
    case StepKind::kGate:
      return Gate(c);
    case StepKind::kFindProgram:
      return FindProgram(c, /*execute=*/false);
    default:
      return -EINVAL;
  }
}

}  // namespace bulwark::child
