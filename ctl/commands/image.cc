// ctl image inspect, history, verify: what images consist of.
#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/image_calls.h"
#include "ctl/message_form.h"
#include "ctl/objects.h"
#include "ctl/print/progress.h"
#include "ctl/print/table.h"
#include "ctl/print/text.h"
#include "google/protobuf/util/json_util.h"

namespace bulwark::ctl {
namespace {

constexpr size_t kShortCommand = 60;  // characters

struct Flags {
  std::vector<std::string> references;
  std::string reference;
  std::string output;
  std::string raw;
  bool full = false;
  bool repair = false;
  bool quiet = false;
};

std::string Json(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  std::string text;
  // Messages of ours that came over the wire can always be printed.
  (void)google::protobuf::util::MessageToJsonString(message, &text, options);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// On one line, and not too long.
std::string Shorten(std::string text, bool full) {
  text = absl::StrReplaceAll(text, {{"\n", " "}, {"\t", " "}});
  if (full || text.size() <= kShortCommand) return text;
  size_t end = kShortCommand - 1;
  // Not inside a character.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) {
    --end;
  }
  return absl::StrCat(text.substr(0, end), "…");
}

absl::StatusOr<int> History(Context& context, const Flags& flags) {
  RETURN_IF_ERROR(CheckMessageForm(flags.output));
  v1::ImageHistoryRequest request;
  request.set_reference(flags.reference);
  ASSIGN_OR_RETURN(const v1::ImageHistoryResponse response,
                   ImageHistory(context.client(), request));
  if (PrintMessage(context, response, flags.output)) return kExitOk;
  Table table({"CREATED", "SIZE", "CREATED BY", "COMMENT"});
  for (const v1::ImageHistoryEntry& entry : response.entries()) {
    const std::string age = Age(entry.create_time(), context.clock.Now());
    table.Add({age.empty() || entry.create_time().seconds() == 0
                   ? ""
                   : absl::StrCat(age, " ago"),
               entry.has_layer() ? HumanSize(entry.layer().size_bytes()) : "",
               Shorten(entry.created_by(), flags.full),
               Shorten(entry.comment(), flags.full)});
  }
  context.io.Out(table.Take());
  return kExitOk;
}

absl::StatusOr<int> Index(Context& context, const Flags& flags) {
  v1::MakeIndexRequest request;
  request.set_reference(flags.reference);
  for (const std::string& name : flags.references) request.add_images(name);
  ASSIGN_OR_RETURN(const v1::MakeIndexResponse response,
                   MakeIndex(context.client(), request));
  context.io.Out(absl::StrCat(flags.reference, " ", response.digest(), "\n"));
  return kExitOk;
}

absl::StatusOr<int> Inspect(Context& context, const Flags& flags) {
  if (!flags.raw.empty() && flags.raw != "manifest" && flags.raw != "config" &&
      flags.raw != "index") {
    return UsageError(
        absl::StrCat("--raw ", flags.raw, ": manifest, config or index"));
  }
  for (const std::string& reference : flags.references) {
    v1::InspectImageRequest request;
    request.set_reference(reference);
    ASSIGN_OR_RETURN(const v1::InspectImageResponse response,
                     InspectImage(context.client(), request));
    if (flags.raw.empty()) {
      context.io.Out(FormatInspectedImage(response));
      continue;
    }
    const std::string& document = flags.raw == "config"  ? response.config()
                                  : flags.raw == "index" ? response.index()
                                                         : response.manifest();
    if (document.empty()) {
      return absl::NotFoundError(
          absl::StrCat("inspect image ", reference, ": it has no ", flags.raw));
    }
    context.io.Out(document);
  }
  return kExitOk;
}

void PrintDamage(Context& context, const v1::ImageDamage& damage) {
  std::string text =
      absl::StrCat(damage.kind(), " ", damage.digest(), ": ", damage.problem());
  if (damage.repaired()) {
    absl::StrAppend(&text, "; repaired");
  } else if (!damage.repair_error().empty()) {
    absl::StrAppend(&text, "; not repaired: ", damage.repair_error());
  }
  absl::StrAppend(&text, "\n  needed by ",
                  damage.references().empty()
                      ? "no image"
                      : absl::StrJoin(damage.references(), ", "),
                  "\n");
  context.io.Out(text);
}

absl::StatusOr<int> Verify(Context& context, const Flags& flags) {
  v1::VerifyImagesRequest request;
  for (const std::string& name : flags.references) request.add_references(name);
  request.set_repair(flags.repair);
  ProgressPrinter printer(context.io, context.clock,
                          flags.quiet || !context.io.err_tty());
  v1::ImageProgress progress;
  progress.set_id("images");
  progress.set_status("reading");
  std::vector<v1::ImageDamage> damaged;
  const absl::Status status = VerifyImages(
      context.client(), request, [&](const v1::VerifyImagesResponse& response) {
        progress.set_current(response.current());
        progress.set_total(response.total());
        printer.Update(progress);
        damaged.insert(damaged.end(), response.damaged().begin(),
                       response.damaged().end());
      });
  printer.Finish();
  RETURN_IF_ERROR(status);
  for (const v1::ImageDamage& damage : damaged) PrintDamage(context, damage);
  const auto left = std::count_if(
      damaged.begin(), damaged.end(),
      [](const v1::ImageDamage& damage) { return !damage.repaired(); });
  if (damaged.empty()) {
    context.io.Out(absl::StrCat("all is well: ", HumanSize(progress.total()),
                                " were read\n"));
  } else if (left > 0 && !flags.repair) {
    context.io.Err("`ctl verify --repair` fetches it again, or mends it\n");
  }
  return left == 0 ? kExitOk : kExitError;
}

}  // namespace

std::string FormatInspectedImage(const v1::InspectImageResponse& response) {
  std::vector<std::string> layers;
  for (const v1::ImageLayer& layer : response.layers()) {
    layers.push_back(Json(layer));
  }
  std::string text =
      absl::StrCat("{\n\"image\": ", Json(response.image()), ",\n\"layers\": [",
                   absl::StrJoin(layers, ",\n"), "]");
  // Documents that are JSON themselves stand as they are.
  for (const auto& [name, document] :
       {std::pair<const char*, const std::string&>("manifest",
                                                   response.manifest()),
        {"config", response.config()},
        {"index", response.index()}}) {
    if (!document.empty()) {
      absl::StrAppend(&text, ",\n\"", name, "\": ", document);
    }
  }
  return absl::StrCat(text, "\n}\n");
}

void AddImage(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command group(app, context, "image", "What an image consists of");
  Command(group.Group(), context, "inspect",
          "Print an image's names, layers, manifest and configuration, as JSON")
      .Words("IMAGE", flags->references, "Images", Command::kRequired)
      .Option("--raw", flags->raw,
              "Only the manifest, the config or the index, byte for byte")
      .Action([flags](Context& c) { return Inspect(c, *flags); });
  flags = std::make_shared<Flags>();
  Command(group.Group(), context, "index",
          "Make an index of images here, one for each platform")
      .Word("NAME", flags->reference, "The index's name", Command::kRequired)
      .Words("IMAGE", flags->references, "Images", Command::kRequired)
      .Action([flags](Context& c) { return Index(c, *flags); });
  flags = std::make_shared<Flags>();
  Command(app, context, "history",
          "List what an image was made of, the last step first")
      .Word("IMAGE", flags->reference, "The image", Command::kRequired)
      .Option("-o,--output", flags->output, kMessageForms)
      .Flag("--no-trunc", flags->full, "Whole commands")
      .Action([flags](Context& c) { return History(c, *flags); });
  flags = std::make_shared<Flags>();
  Command(app, context, "verify",
          "Read images again, and compare every byte with its digest, and "
          "unpacked layers with\ntheir blobs")
      .Words("IMAGE", flags->references, "Default: all that is stored")
      .Flag("--repair", flags->repair,
            "Fetch damaged content from its registry, and mend layers")
      .Flag("-q,--quiet", flags->quiet, "No progress")
      .Action([flags](Context& c) { return Verify(c, *flags); });
}

}  // namespace bulwark::ctl
