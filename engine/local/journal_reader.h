// Reads a container's log back from the host's journal, through journalctl.
#ifndef ENGINE_LOCAL_JOURNAL_READER_H_
#define ENGINE_LOCAL_JOURNAL_READER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "engine/engine.h"

namespace bulwark::engine {

// What journalctl is given to print the entries of container `id`.
std::vector<std::string> JournalArgs(const std::string& id,
                                     const LogOptions& options);

// Takes one entry of the journal's export format from the front of `*bytes`.
// False if no whole one is there. An entry without a message is skipped.
bool TakeJournalEntry(std::string* bytes, LogEntry* entry);

// FAILED_PRECONDITION if there is no journalctl. Lines that the journal drops,
// or keeps for other users only, are missing.
absl::StatusOr<std::unique_ptr<LogReader>> OpenJournal(
    const std::string& id, const LogOptions& options,
    std::function<bool()> has_exited, Clock& clock);

}  // namespace bulwark::engine

#endif  // ENGINE_LOCAL_JOURNAL_READER_H_
