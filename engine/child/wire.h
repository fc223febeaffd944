// Numbers in the shim's messages and records (docs/formats/shim-protocol.md).
#ifndef ENGINE_CHILD_WIRE_H_
#define ENGINE_CHILD_WIRE_H_

#include <stddef.h>
#include <stdint.h>

namespace bulwark::child {

inline constexpr uint16_t kWireVersion = 1;
inline constexpr size_t kFrameHeader = 8;
inline constexpr size_t kFieldHeader = 8;
inline constexpr size_t kMaxMessage = 1024;  // of control messages

enum MessageType : uint16_t {
  kMsgContainerRecord = 1,
  kMsgStateRecord = 2,
  kMsgExitRecord = 3,
  kMsgLaunched = 4,  // shim -> daemon, once
  kMsgFailed = 5,    // shim -> daemon, once
  kMsgPing = 6,
  kMsgSignal = 7,
  kMsgResize = 8,
  kMsgReply = 9,
  kMsgExited = 10,  // exec shim -> daemon, once
  kMsgSync = 11,    // container's process -> bulwark-oci; see kSync
  kMsgAttach = 12,  // daemon -> shim, with a socket
};

enum Tag : uint16_t {
  kTagShimPid = 1,
  kTagShimTicks = 2,
  kTagInitPid = 3,
  kTagInitTicks = 4,
  kTagBootId = 5,
  kTagPhase = 6,
  kTagStartTime = 7,  // ns since the epoch
  kTagCode = 8,       // exit status, or 128 + signal
  kTagSignal = 9,
  kTagOomKilled = 10,
  kTagFinishTime = 11,  // ns since the epoch
  kTagUnknownReason = 12,
  kTagStep = 13,  // index in the plan, or a SpecialStep
  kTagErrno = 14,
  kTagRows = 15,
  kTagColumns = 16,
  kTagAddress = 17,  // of Context::handed_over in the process's memory
  kTagAttachFlags = 32,
  kTagStreams = 33,  // AttachStreams
  // Tags of the container record: engine/local/record.cc.
  kTagFirstOfRecord = 64,
};

// What somebody who attaches wants.
enum AttachFlag : uint64_t {
  kAttachInput = 1,    // he may send input
  kAttachReplay = 2,   // first what is kept of the output
  kAttachPatient = 4,  // he is waited for if he is slow
};
// What a container has.
enum AttachStreams : uint64_t { kStreamTerminal = 1, kStreamInput = 2 };

// A message of an attached socket is chunks of {u8 kind, u24 size, bytes}; one
// to the shim is a single chunk of at most kAttachChunk bytes.
inline constexpr size_t kAttachHeader = 4;
inline constexpr size_t kAttachChunk = 4 << 10;
inline constexpr size_t kAttachMessage = (64 << 10) + kAttachHeader;
enum ChunkKind : uint8_t {
  kChunkOutput = 'o',
  kChunkError = 'e',
  kChunkInput = 'i',
  kChunkCloseInput = 'c',
};

enum Phase : uint64_t { kPhaseLaunching = 1, kPhaseRunning = 2 };

// Failures outside the plan's steps.
enum SpecialStep : uint64_t {
  kStepPlan = 1u << 20,  // the plan does not verify
  kStepDirectory,
  kStepStdio,
  kStepControl,
  kStepClone,
  kStepRecords,
};

}  // namespace bulwark::child

#endif  // ENGINE_CHILD_WIRE_H_
