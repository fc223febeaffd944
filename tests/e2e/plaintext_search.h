// Looks for a text where it must not be.
#ifndef TESTS_E2E_PLAINTEXT_SEARCH_H_
#define TESTS_E2E_PLAINTEXT_SEARCH_H_

#include <sys/types.h>

#include <set>
#include <string>
#include <vector>

#include "tests/e2e/world.h"

namespace bulwark::e2e {

// Whether the memory of the process, all that it can read of it, holds `text`.
bool MemoryHolds(pid_t pid, const std::string& text);
// Only what would be in its core file: no memory that is excluded from those
// (MADV_DONTDUMP).
bool DumpableMemoryHolds(pid_t pid, const std::string& text);

// Whether the file holds `text`; not if it cannot be opened.
bool FileHolds(const std::string& path, const std::string& text);

// Regular files below `directory` that hold `text`; `skip` and what is below it
// is left out. Special files are not opened.
std::vector<std::string> FilesThatHold(const std::string& directory,
                                       const std::string& text,
                                       const std::string& skip = "");

// Every process of the instance, as the leak checker finds them in the kernel.
std::set<pid_t> ProcessesOf(World& world);

// Of a container's first process: its shim.
pid_t ParentOf(pid_t pid);

}  // namespace bulwark::e2e

#endif  // TESTS_E2E_PLAINTEXT_SEARCH_H_
