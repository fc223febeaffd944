// ctl delete: objects by name, by label or by manifest.
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/manifests.h"
#include "ctl/objects.h"
#include "ctl/wait.h"

namespace bulwark::ctl {
namespace {

constexpr absl::Duration kDefaultWait = absl::Minutes(5);

struct Flags {
  std::vector<std::string> words;
  std::vector<std::string> files;
  std::vector<std::string> env_files;
  std::vector<std::string> labels;
  bool all = false;
  bool ignore_missing = false;
  bool wait = false;
  bool dry_run = false;
};

void Add(const v1::Object& object, v1::DeleteRequest& request) {
  const v1::Metadata& metadata = manifest::MetadataOf(object);
  v1::ObjectReference& reference = *request.add_objects();
  reference.set_kind(manifest::KindOf(object)->api_name);
  reference.set_project(metadata.project().empty() ? "default"
                                                   : metadata.project());
  reference.set_name(metadata.name());
}

absl::Status Collect(Context& context, const Flags& flags,
                     v1::DeleteRequest& request) {
  if (!flags.files.empty()) {
    if (!flags.words.empty()) return UsageError("give names or -f, not both");
    ASSIGN_OR_RETURN(auto objects,
                     ReadManifests(context, flags.files, flags.env_files));
    // What was declared last goes first.
    for (auto it = objects.rbegin(); it != objects.rend(); ++it) {
      Add(it->object, request);
    }
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(std::vector<Target> targets, ParseTargets(flags.words));
  if (targets[0].name.empty()) {
    if (flags.labels.empty() != flags.all) {
      return UsageError(absl::StrCat("delete ", targets[0].kind->plural,
                                     ": name them, or give -l or --all"));
    }
    ListOptions options;
    ASSIGN_OR_RETURN(options.labels, ParseLabels(flags.labels));
    ASSIGN_OR_RETURN(Listing listing,
                     ListObjects(context, *targets[0].kind, options));
    for (const v1::Object& object : listing.objects) Add(object, request);
    return absl::OkStatus();
  }
  for (const Target& target : targets) {
    v1::ObjectReference& reference = *request.add_objects();
    reference.set_kind(target.kind->api_name);
    reference.set_project(ProjectFor(context, *target.kind));
    reference.set_name(target.name);
  }
  return absl::OkStatus();
}

absl::StatusOr<int> Run(Context& context, const Flags& flags) {
  v1::DeleteRequest all;
  RETURN_IF_ERROR(Collect(context, flags, all));
  all.set_validate_only(flags.dry_run);
  if (all.objects().empty()) {
    context.io.Err("nothing to delete\n");
    return kExitOk;
  }
  v1::DeleteResponse response;
  if (!flags.ignore_missing) {
    absl::StatusOr<v1::DeleteResponse> answer = context.client().Delete(all);
    if (answer.status().code() == absl::StatusCode::kNotFound &&
        all.objects_size() > 1) {
      return WithRemedy(answer.status(),
                        "nothing was deleted; --ignore-not-found deletes "
                        "those that exist");
    }
    if (!answer.ok()) return answer.status();
    response = *std::move(answer);
  } else {
    // One by one: the others go even if one is missing.
    for (const v1::ObjectReference& object : all.objects()) {
      v1::DeleteRequest one;
      *one.add_objects() = object;
      one.set_validate_only(flags.dry_run);
      absl::StatusOr<v1::DeleteResponse> answer = context.client().Delete(one);
      if (answer.status().code() == absl::StatusCode::kNotFound) continue;
      if (!answer.ok()) return answer.status();
      response.MergeFrom(*answer);
    }
  }
  for (const v1::ObjectReference& object : response.deleted()) {
    context.io.Out(absl::StrCat(object.kind(), " ", object.name(), " deleted",
                                flags.dry_run ? " (dry run)" : "", "\n"));
  }
  if (!flags.wait || flags.dry_run) return kExitOk;
  const absl::Time deadline =
      context.clock.Now() + context.Timeout(kDefaultWait);
  for (const v1::ObjectReference& object : response.deleted()) {
    const manifest::Kind* kind = manifest::FindKind(object.kind());
    if (kind == nullptr) continue;
    RETURN_IF_ERROR(WaitFor(context, *kind, object.project(), object.name(),
                            deadline, true, JudgeDeleted));
  }
  return kExitOk;
}

}  // namespace

void AddDelete(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "delete",
          "Delete objects; volumes keep their data "
          "until they are deleted themselves")
      .Words("KIND", flags->words, "KIND NAME… or KIND/NAME…")
      .Option("-f,--filename", flags->files, "The objects of manifests")
      .Option("--env-file", flags->env_files, "NAME=value lines for ${NAME}")
      .Option("-l,--selector", flags->labels, "Those with KEY=VALUE labels")
      .Flag("--all", flags->all, "Every object of the kind in the project")
      .Flag("--ignore-not-found", flags->ignore_missing,
            "Succeed when there is nothing to delete")
      .Flag("--wait", flags->wait, "Return when they are gone")
      .Flag("--dry-run", flags->dry_run, "Change nothing")
      .Action([flags](Context& c) { return Run(c, *flags); });
}

}  // namespace bulwark::ctl
