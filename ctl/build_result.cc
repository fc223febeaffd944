#include "ctl/build_result.h"

#include <fcntl.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::ctl {

absl::StatusOr<std::unique_ptr<BuildResult>> BuildResult::Open(
    Context& context, const BuildOutput& output) {
  auto result = std::unique_ptr<BuildResult>(new BuildResult(context));
  switch (output.kind) {
    case BuildOutput::Kind::kNone:
      break;
    case BuildOutput::Kind::kStdout:
      result->to_stdout_ = true;
      break;
    case BuildOutput::Kind::kFile: {
      ASSIGN_OR_RETURN(OutputFile file,
                       OutputFile::Create(output.path, /*replace=*/true));
      result->file_.emplace(std::move(file));
      break;
    }
    case BuildOutput::Kind::kFolder: {
      std::error_code error;
      std::filesystem::create_directories(output.path, error);
      if (error) {
        return ErrnoStatus(error.value(), "make folder", output.path);
      }
      result->folder_ = UniqueFd(
          open(output.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (!result->folder_.ok()) return ErrnoStatus("open", output.path);
      UntarOptions options;
      options.has_first = false;
      result->untar_.emplace(result->folder_.get(), options);
      break;
    }
  }
  return result;
}

absl::Status BuildResult::Add(absl::string_view data) {
  if (file_.has_value()) return file_->Write(data);
  if (untar_.has_value()) return untar_->Add(data);
  if (!to_stdout_) return absl::OkStatus();
  context_.io.Out(data);
  if (context_.io.out_error() == 0) return absl::OkStatus();
  return ErrnoStatus(context_.io.out_error(), "write", "standard output");
}

absl::Status BuildResult::Finish() {
  if (file_.has_value()) return file_->Commit();
  if (!untar_.has_value()) return absl::OkStatus();
  RETURN_IF_ERROR(untar_->End());
  return untar_->Finish();
}

}  // namespace bulwark::ctl
