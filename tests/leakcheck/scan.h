// Everything in the kernel that carries the name of a Bulwark instance.
//
// The scan trusts no record of the daemon: it looks at the kernel alone.
#ifndef TESTS_LEAKCHECK_SCAN_H_
#define TESTS_LEAKCHECK_SCAN_H_

#include <compare>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bulwark::leakcheck {

// `kind` and `id` identify it while it lives; `detail` is for people.
struct Item {
  std::string kind;
  std::string id;
  std::string detail;

  auto operator<=>(const Item&) const = default;
};

struct Options {
  std::string instance;
  std::string runtime_dir;  // absolute, without a final slash
  std::string state_dir;
};

// Whether `text` holds `instance` as a whole word: no letter or digit beside
// it. So "b1" is in "/b1/x" and "bulwark-b1.scope", not in "b12".
bool HasInstance(absl::string_view text, absl::string_view instance);
// Whether `path` is `directory` or below it.
bool IsBelow(absl::string_view path, absl::string_view directory);

// All of it, sorted. Kinds: cgroup, process, mount, netns, link, nft-table,
// nft-element, loop, input, build-secret.
absl::StatusOr<std::vector<Item>> Scan(const Options& options);

// The parts; each appends what it finds.
//
// Directories in every cgroup v1 and v2 tree that is mounted here.
absl::Status ScanCgroups(const Options& options, std::vector<Item>* items);
// By cgroup, or by an executable or argument below one of the directories, or
// by `--instance NAME`. The caller and its ancestors are not counted.
absl::Status ScanProcesses(const Options& options, std::vector<Item>* items);
// Of this mount namespace: at, or backed by something, below the directories.
absl::Status ScanMounts(const Options& options, std::vector<Item>* items);
absl::Status ScanLoopDevices(const Options& options, std::vector<Item>* items);
// What is laid out in memory for containers and builds: entries of
// <runtime_dir>/inputs and <runtime_dir>/build-secrets.
absl::Status ScanInputs(const Options& options, std::vector<Item>* items);
// Entries of <runtime_dir>/netns, whether a namespace is still pinned there or
// only the file is left.
absl::Status ScanPins(const Options& options, std::vector<Item>* items);
// Links and nftables tables, with their sets' elements: here, and in the
// data-plane namespace.
absl::Status ScanNetwork(const Options& options, std::vector<Item>* items);

// One JSON object a line.
std::string Print(const std::vector<Item>& items);
// INVALID_ARGUMENT names the line.
absl::StatusOr<std::vector<Item>> Parse(absl::string_view text);
// What is in `after` and not in `before`.
std::vector<Item> Leaked(const std::vector<Item>& before,
                         const std::vector<Item>& after);

}  // namespace bulwark::leakcheck

#endif  // TESTS_LEAKCHECK_SCAN_H_
