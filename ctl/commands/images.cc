// ctl images, rmi, tag, untag: what is in the image store.
#include <algorithm>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/message_form.h"
#include "ctl/objects.h"
#include "ctl/print/table.h"
#include "ctl/print/text.h"

namespace bulwark::ctl {
namespace {

struct Flags {
  std::string output;
  bool quiet = false;
  bool digests = false;
  std::vector<std::string> references;
  std::string source;
  std::string target;
};

std::string ShortDigest(absl::string_view digest) {
  absl::ConsumePrefix(&digest, "sha256:");
  return std::string(digest.substr(0, 12));
}

absl::StatusOr<int> List(Context& context, const Flags& flags) {
  RETURN_IF_ERROR(CheckMessageForm(flags.output));
  ASSIGN_OR_RETURN(v1::ListImagesResponse response,
                   context.client().ListImages());
  if (PrintMessage(context, response, flags.output)) return kExitOk;
  std::vector<std::string> columns = {"IMAGE", "DIGEST", "PLATFORM", "SIZE",
                                      "CREATED"};
  if (flags.digests) columns.insert(columns.begin() + 2, "INDEX");
  Table table(columns);
  for (const v1::ImageInfo& image : response.images()) {
    std::vector<std::string> names(image.references().begin(),
                                   image.references().end());
    if (names.empty()) names.push_back("<none>");
    for (const std::string& name : names) {
      if (flags.quiet) context.io.Out(absl::StrCat(name, "\n"));
      const std::string age = Age(image.create_time(), context.clock.Now());
      std::vector<std::string> row = {
          name, flags.digests ? image.digest() : ShortDigest(image.digest()),
          image.platform(), HumanSize(image.size_bytes()),
          age.empty() || image.create_time().seconds() == 0
              ? ""
              : absl::StrCat(age, " ago")};
      if (flags.digests) {
        const auto index = image.index_digests().find(name);
        row.insert(row.begin() + 2, index == image.index_digests().end()
                                        ? std::string()
                                        : index->second);
      }
      table.Add(row);
    }
  }
  if (!flags.quiet) context.io.Out(table.Take());
  return kExitOk;
}

absl::StatusOr<int> Remove(Context& context, const Flags& flags, bool untag) {
  int code = kExitOk;
  for (const std::string& reference : flags.references) {
    v1::RemoveImageRequest request;
    request.set_reference(reference);
    request.set_untag(untag);
    absl::Status status = context.client().RemoveImage(request).status();
    if (status.ok()) {
      context.io.Out(
          absl::StrCat(untag ? "name " : "image ", reference, " removed\n"));
    } else if (status.code() == absl::StatusCode::kUnavailable) {
      return status;
    } else {
      context.io.Err(FormatError(status));
      code = kExitError;
    }
  }
  return code;
}

absl::StatusOr<int> Tag(Context& context, const Flags& flags) {
  v1::TagImageRequest request;
  request.set_source(flags.source);
  request.set_target(flags.target);
  RETURN_IF_ERROR(context.client().TagImage(request).status());
  return kExitOk;
}

}  // namespace

void AddImages(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "images", "List the images on this host")
      .Option("-o,--output", flags->output, kMessageForms)
      .Flag("--digests", flags->digests,
            "Whole digests, and those of the indexes that names stand for")
      .Flag("-q,--quiet", flags->quiet, "Print names only")
      .Action([flags](Context& c) { return List(c, *flags); });
  Command(app, context, "rmi", "Remove images")
      .Words("IMAGE", flags->references, "Images", Command::kRequired)
      .Action([flags](Context& c) { return Remove(c, *flags, false); });
  Command(app, context, "untag",
          "Take names away from images, which stay until they are pruned")
      .Words("NAME", flags->references, "Names", Command::kRequired)
      .Action([flags](Context& c) { return Remove(c, *flags, true); });
  Command(app, context, "tag", "Give an image another name")
      .Word("SOURCE", flags->source, "The image", Command::kRequired)
      .Word("TARGET", flags->target, "Its new name", Command::kRequired)
      .Action([flags](Context& c) { return Tag(c, *flags); });
}

}  // namespace bulwark::ctl
