// COPY and ADD.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/build/stage.h"
#include "engine/image/json.h"

namespace bulwark::engine::build {

absl::StatusOr<CopyRequest> Stage::ReadCopy(const Instruction& instruction,
                                            const CopyFlags& flags,
                                            const FileTree& below) {
  CopyRequest request;
  request.add = instruction.keyword == "ADD";
  request.unpack = flags.unpack;
  request.checksum = flags.checksum;
  request.keep_git_dir = flags.keep_git_dir;
  request.filter.parents = flags.parents;
  ASSIGN_OR_RETURN(request.filter.exclude,
                   IgnoreList::FromPatterns(flags.exclude));
  if (!flags.chown.empty()) {
    ASSIGN_OR_RETURN(request.attributes.owner,
                     ResolveOwner(flags.chown, below));
    request.attributes.owner_asked_for = true;
  } else if (flags.from.empty()) {
    request.attributes.owner = Owner{0, 0};
  }
  if (!flags.chmod.empty()) {
    ASSIGN_OR_RETURN(request.attributes.mode, ModeChange::Parse(flags.chmod));
  }
  ASSIGN_OR_RETURN(std::vector<std::string> words,
                   metadata_->ExpandWordsOf(instruction));
  if (words.size() < 2) {
    return absl::InvalidArgumentError("it needs a source and a destination");
  }
  request.destination = metadata_->AbsolutePath(words.back());
  words.pop_back();
  for (const Heredoc& heredoc : instruction.heredocs) {
    std::string text = heredoc.text;
    if (heredoc.expand) {
      ASSIGN_OR_RETURN(text, ExpandHeredoc(heredoc.text, context_->escape,
                                           metadata_->Variables()));
    }
    request.texts.emplace_back(heredoc.name, std::move(text));
  }
  for (std::string& word : words) {
    if (absl::StartsWith(word, "<<") && !instruction.heredocs.empty()) continue;
    request.sources.push_back(std::move(word));
  }
  if (!request.checksum.empty() &&
      request.sources.size() + request.texts.size() != 1) {
    return absl::InvalidArgumentError("--checksum is for one source alone");
  }
  return request;
}

absl::Status Stage::ApplyCopy(const Instruction& instruction) {
  ASSIGN_OR_RETURN(const CopyFlags flags,
                   ReadCopyFlags(instruction, [this](absl::string_view text) {
                     return metadata_->ExpandText(text);
                   }));
  ASSIGN_OR_RETURN(FileTree below, FileTree::Open(image_.Directories()));
  ASSIGN_OR_RETURN(CopyRequest request, ReadCopy(instruction, flags, below));
  ASSIGN_OR_RETURN(const SourceFiles source, options_.find_source(flags.from));
  ASSIGN_OR_RETURN(FileTree files, FileTree::Open(source.directories));
  request.filter.ignored = source.ignored;
  // A layer that does not depend on those below sees nothing of them.
  if (flags.link) below = FileTree();
  if (!request.checksum.empty()) {
    // The content is known without having it.
    const image::Json key = {{"add", request.sources},
                             {"to", request.destination},
                             {"checksum", request.checksum},
                             {"git", request.keep_git_dir},
                             {"flags", instruction.flags}};
    return AddLayer(
        image::Dump(key),
        [&](const std::string& directory) -> absl::Status {
          ASSIGN_OR_RETURN(std::unique_ptr<CopyStep> step,
                           CopyStep::Plan(context_, request, files, below));
          return step->Write(directory);
        },
        flags.link);
  }
  ASSIGN_OR_RETURN(std::unique_ptr<CopyStep> step,
                   CopyStep::Plan(context_, request, files, below));
  ASSIGN_OR_RETURN(std::string hash, step->Hash());
  return AddLayer(
      absl::StrCat(instruction.keyword, " ", hash, " ", request.destination),
      [&step](const std::string& directory) { return step->Write(directory); },
      flags.link);
}

}  // namespace bulwark::engine::build
