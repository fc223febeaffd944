// The launch plan: a flat table, free of pointers, that the daemon compiles and
// the shim interprets. Offsets count from the plan's first byte; strings end
// with NUL. A plan lives for one launch and never on disk, and both programs
// are built together, so it has a version but no compatibility rules.
#ifndef ENGINE_CHILD_LAUNCH_PLAN_H_
#define ENGINE_CHILD_LAUNCH_PLAN_H_

#include <stdint.h>

namespace bulwark::child {

inline constexpr uint32_t kPlanMagic = 0x4c505742;  // "BWPL"
inline constexpr uint32_t kPlanVersion = 8;
inline constexpr uint32_t kMaxSteps = 4096;
inline constexpr int kMaxSlots = 1024;
inline constexpr uint32_t kMaxPlanBytes = 16 << 20;

// Slots are the plan's names for descriptors. These have a fixed meaning.
enum Slot : int16_t {
  kNoSlot = -1,
  kSlotRoot = 0,       // the container's root directory
  kSlotPtyMaster = 1,  // stays in the shim
  kSlotStdin = 2,
  kSlotStdout = 3,
  kSlotStderr = 4,
  kSlotCgroup = 5,  // cgroup v2 directory that the child is cloned into
  kSlotInit = 6,    // pidfd of the container's init (exec only)
  kSlotUser = 7,    // user namespace that the child is cloned into
  kSlotGate = 8,    // socket of who ordered the launch (kGate)
  kSlotMounts = 9,  // mount namespace that the child's is a copy of, if not
                    // ours; only with kSlotUser
  kFirstFreeSlot = 10,
};

// Where a step runs.
enum class Where : uint8_t { kShim = 0, kChild = 1 };

enum class StepKind : uint16_t {
  kNone = 0,
  kOpen,     // slot = open(str, flags), below the directory slot2, if any;
             // kNoSymlinks: which is the root then
  kNewFs,    // slot = detached mount of type str, options str2
             // ('a=b,c,d="e,f"'), mount attributes value
  kOverlay,  // slot = detached overlay; `value` layers from slot2 on,
             // topmost first; value2: upper slot | work slot << 16 |
             // owner of its own files << 32
  kLegacyOverlay,  // the same by mount(2) on str (before Linux 6.13)
  kMappedOverlay,  // as kOverlay, by mount(2) on str, for layers below the
                   // `flags` detached trees before slot2 (before Linux 6.15)
  kCloneTree,      // slot = detached copy of the mounts at str, private unless
                   // kKeepPropagation, with attributes value
  kMountAttributes,  // of the mount `slot`: set value, clear value2
  kPropagation,      // of the mount `slot`: value is an MS_* flag
  kIdMap,            // the mount `slot` by the user namespace in slot2
  kPty,            // a terminal on the devpts in slot2, or the container's own,
                   // of value rows and value2 columns
  kSetnsPidfd,     // enter the namespaces `value` of the process in `slot`
  kOpenRoot,       // kSlotRoot = "/"
  kJoinCgroup,     // write 0 into the open file `slot`
  kSetns,          // enter the namespace in `slot`, of type value
  kUnshare,        // value: CLONE_NEW* flags
  kEnterTime,      // enter the time namespace that kUnshare made
  kPrivateMounts,  // cut mount propagation, or make it value (an MS_* flag)
  kAttachRoot,     // mount `slot` (if any) on path str: the root
  kAttach,         // mount `slot` on str inside the root
  kMkdir,          // str inside the root, mode value
  kMknod,          // str inside the root, or in the mount `slot`, mode value,
                   // device value2, owned by the ids of str2, if any
                   // ("uid:gid")
  kSymlink,        // str2 inside the root -> str; kOptional: unless it exists
  kBindHost,       // host path str on str2 inside the root
  kMask,           // hide str inside the root
  kReadOnly,       // str inside the root gets the mount attributes value
  kRootReadOnly,
  kPivot,         // the root becomes /
  kChdir,         // str
  kBindRoot,      // the current directory, bound onto itself: the root
  kCopyUp,        // what is in the directory str of the root into the mount
                  // `slot`
  kBindSlot,      // the file `slot` on str inside the root
  kHostname,      // str
  kDomainname,    // str
  kWrite,         // str2 into the file str below the directory `slot`
  kLoopback,      // bring up lo
  kAccount,       // look up user str in the root's /etc/passwd and group;
                  // its ids are below value, if that is not 0
  kNotRoot,       // the account is not root
  kOwn,           // give what is at `slot`, and below, to that account
  kGive,          // the same to user value and group value2
  kGiveStreams,   // the pipes and terminals of the streams to user value
  kOwnerOf,       // slot = the user namespace that owns the namespace slot2
  kWorkdir,       // go to str, if that is in the root
  kSession,       // new session; standard streams; controlling terminal
  kRlimit,        // resource flags, soft value, hard value2; kRaiseHard: only
                  // the hard limit, and only up
  kBoundingSet,   // drop capabilities that are not in value
  kIds,           // take the ids of kAccount; kGroups: with the `value` groups
                  // at str instead of the account's
  kRootIds,       // become 0:0 of a user namespace that was just made
  kCapabilities,  // value, if the user is root; none else
  kCapabilitySets,  // four masks at str: effective, permitted, inheritable,
                    // ambient
  kUmask,           // value
  kPersonality,     // value
  kScheduler,       // struct sched_attr of `value` bytes at str
  kIoPriority,      // value
  kSync,            // say that point `value` is reached, and wait for an answer
  kFindProgram,     // whether there is something to execute
  kAwaitStart,  // wait for a byte from the FIFO `slot`; then errors go to the
                // file slot2
  kGate,        // wait for a byte from kSlotGate; its end calls all off
  kNoNewPrivs,
  kCloseFiles,  // all but the standard streams and the `value` files that are
                // passed on, on exec
  kSeccomp,  // program at offset str, value instructions, flags of seccomp(2)
             // value2
  kExec,     // argument strings at str (value of them), environment at str2
             // (value2)
  kLast = kExec,
};

enum StepFlags : uint32_t {
  kOptional = 1u << 31,    // a missing object (or right) is no failure
  kNoSymlinks = 1u << 30,  // no symbolic link in the path
  kRecursive = 1u << 29,
  kVolatile = 1u << 28,  // overlay without syncs
  kTerminal = 1u << 27,
  kKeepPropagation = 1u << 26,
  kGroups = 1u << 25,
  kKeepCapabilities = 1u << 24,  // while the ids change
  kRaiseHard = 1u << 23,
};

// Where a launch waits for who ordered it (kSync).
enum SyncPoint : uint64_t {
  kSyncIdMaps = 1,   // the user namespace has no id maps yet
  kSyncTimeOffsets,  // the time namespace has none yet
  kSyncMounted,      // everything is mounted, the root is not changed yet
  kSyncReady,        // all is done but what start does
};

struct Step {
  StepKind kind;
  Where where;
  uint8_t zero;
  int16_t slot;
  int16_t slot2;
  uint32_t flags;
  uint32_t str;
  uint32_t str2;
  uint32_t zero2;
  uint64_t value;
  uint64_t value2;
};
static_assert(sizeof(Step) == 40);

enum LogDriver : uint32_t {
  kLogLocal = 0,
  kLogJsonFile = 1,
  kLogJournal = 2,
  kLogNone = 3,
};

struct PlanHeader {
  uint32_t magic;
  uint32_t version;
  uint32_t size;  // of the whole plan
  uint32_t step_count;
  uint32_t steps;  // offset
  uint32_t slot_count;
  uint64_t clone_flags;
  // What follows is used by `run` only; 0 is the empty string.
  uint32_t runtime_dir;
  uint32_t state_dir;
  uint32_t boot_id;
  uint32_t oom_file;  // holds a line "oom_kill N"
  uint64_t log_file_bytes;
  uint32_t log_files;
  uint32_t terminal;
  uint32_t log_driver;  // LogDriver
  uint32_t log_fields;  // kLogJournal: "NAME=value\n" for every record
  uint32_t log_socket;  // kLogJournal: path of the journal's socket
  uint32_t open_stdin;
};
static_assert(sizeof(PlanHeader) == 80);

}  // namespace bulwark::child

#endif  // ENGINE_CHILD_LAUNCH_PLAN_H_
