// ctl push, tags, referrers: what registries get from this host, and have.
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/print/table.h"
#include "ctl/print/text.h"
#include "ctl/pull.h"
#include "manifest/codec.h"

namespace bulwark::ctl {
namespace {

// Of calls that ask a registry and come back at once.
constexpr absl::Duration kAskTimeout = absl::Minutes(5);

struct Flags {
  std::string reference;
  std::string target;
  std::string format;
  std::string type;
  std::string last;
  std::string output;
  RegistryLogin login;
  int64_t limit = 0;
  bool all_tags = false;
  bool all_platforms = false;
  bool quiet = false;
};

template <typename Request>
absl::Status SetCredentials(Context& context, const Flags& flags,
                            const std::string& reference, Request& request) {
  ASSIGN_OR_RETURN(std::optional<v1::RegistryCredentials> credentials,
                   CredentialsFor(context, flags.login, reference));
  if (credentials.has_value()) {
    *request.mutable_credentials() = *std::move(credentials);
  }
  return absl::OkStatus();
}

absl::StatusOr<int> Push(Context& context, const Flags& flags) {
  RETURN_IF_ERROR(CheckImagesOutput(flags.output));
  if (!flags.format.empty() && flags.format != "oci" &&
      flags.format != "docker") {
    return UsageError(
        absl::StrCat("--format ", flags.format, ": oci or docker"));
  }
  if (!flags.format.empty() && flags.all_platforms) {
    return UsageError(
        "--all-platforms sends everything byte for byte, without --format");
  }
  v1::PushImageRequest request;
  request.set_reference(flags.reference);
  request.set_target(flags.target);
  request.set_format(flags.format);
  request.set_all_tags(flags.all_tags);
  request.set_all_platforms(flags.all_platforms);
  RETURN_IF_ERROR(SetCredentials(
      context, flags, flags.target.empty() ? flags.reference : flags.target,
      request));
  ProgressPrinter printer(context.io, context.clock,
                          flags.quiet || !flags.output.empty());
  const absl::Status status = context.client().Push(
      request, [&](const v1::ImageProgress& p) { printer.Update(p); });
  printer.Finish();
  RETURN_IF_ERROR(status);
  PrintImages(context, printer.images(), flags.output);
  return kExitOk;
}

absl::StatusOr<int> Tags(Context& context, const Flags& flags) {
  RETURN_IF_ERROR(CheckImagesOutput(flags.output));
  if (flags.limit < 0 || flags.limit > 1'000'000) {
    return UsageError("--limit: 0 (all) to 1000000");
  }
  v1::ListTagsRequest request;
  request.set_repository(flags.reference);
  request.set_limit(static_cast<int32_t>(flags.limit));
  request.set_last(flags.last);
  RETURN_IF_ERROR(SetCredentials(context, flags, flags.reference, request));
  ASSIGN_OR_RETURN(
      const v1::ListTagsResponse response,
      context.client().ListTags(
          request, context.clock.Now() + context.Timeout(kAskTimeout)));
  if (!flags.output.empty()) {
    context.io.Out(manifest::PrintJson(response));
    return kExitOk;
  }
  for (const std::string& tag : response.tags()) {
    context.io.Out(absl::StrCat(tag, "\n"));
  }
  if (response.more() && response.tags_size() > 0) {
    context.io.Err(
        absl::StrCat("more: --last ", *response.tags().rbegin(), "\n"));
  }
  return kExitOk;
}

absl::StatusOr<int> ListReferrers(Context& context, const Flags& flags) {
  RETURN_IF_ERROR(CheckImagesOutput(flags.output));
  v1::ListReferrersRequest request;
  request.set_reference(flags.reference);
  request.set_artifact_type(flags.type);
  RETURN_IF_ERROR(SetCredentials(context, flags, flags.reference, request));
  ASSIGN_OR_RETURN(
      const v1::ListReferrersResponse response,
      context.client().ListReferrers(
          request, context.clock.Now() + context.Timeout(kAskTimeout)));
  if (!flags.output.empty()) {
    context.io.Out(manifest::PrintJson(response));
    return kExitOk;
  }
  Table table({"DIGEST", "TYPE", "SIZE"});
  for (const v1::Referrer& referrer : response.referrers()) {
    table.Add({referrer.digest(),
               referrer.artifact_type().empty() ? referrer.media_type()
                                                : referrer.artifact_type(),
               HumanSize(referrer.size_bytes())});
  }
  context.io.Out(table.Take());
  return kExitOk;
}

void AddLogin(Command& command, Flags& flags) {
  command.Option("-u,--username", flags.login.username, "Name at the registry")
      .Flag("--password-stdin", flags.login.password_stdin,
            "Read the password from standard input")
      .Option("-o,--output", flags.output, "json");
}

}  // namespace

void AddPush(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command push(app, context, "push", "Send an image to its registry");
  push.Word("IMAGE", flags->reference, "The image here, by name or digest",
            Command::kRequired)
      .Word("TARGET", flags->target, "Its name there; default IMAGE")
      .Flag("-a,--all-tags", flags->all_tags,
            "All tags here of the repository IMAGE")
      .Flag("--all-platforms", flags->all_platforms,
            "The index that IMAGE stands for, with all that it lists")
      .Option("--format", flags->format,
              "Media types, oci or docker; default as they are here")
      .Flag("-q,--quiet", flags->quiet, "No progress");
  AddLogin(push, *flags);
  push.Action([flags](Context& c) { return Push(c, *flags); });

  Command tags(app, context, "tags", "List the tags that a registry has");
  tags.Word("REPOSITORY", flags->reference, "Such as registry.local:5000/app",
            Command::kRequired)
      .Option("--limit", flags->limit, "At most so many; default all")
      .Option("--last", flags->last, "Go on after this tag");
  AddLogin(tags, *flags);
  tags.Action([flags](Context& c) { return Tags(c, *flags); });

  Command referrers(
      app, context, "referrers",
      "List what a registry has for an image: signatures, bills of materials");
  referrers
      .Word("IMAGE", flags->reference, "At its registry, by tag or digest",
            Command::kRequired)
      .Option("--type", flags->type, "Only of this artifact type");
  AddLogin(referrers, *flags);
  referrers.Action([flags](Context& c) { return ListReferrers(c, *flags); });
}

}  // namespace bulwark::ctl
