#include "ctl/versions.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ctl/errors.h"
#include "ctl/message_form.h"
#include "ctl/objects.h"
#include "ctl/print/table.h"
#include "ctl/print/text.h"
#include "manifest/kinds.h"

namespace bulwark::ctl {
namespace {

const google::protobuf::RepeatedPtrField<v1::ValueVersion>& VersionsOf(
    const v1::Object& object) {
  return object.has_secret() ? object.secret().status().versions()
                             : object.config().status().versions();
}

int64_t CurrentOf(const v1::Object& object) {
  return object.has_secret() ? object.secret().status().version()
                             : object.config().status().version();
}

const manifest::Kind& KindNamed(absl::string_view kind) {
  return *manifest::FindKind(std::string(kind));
}

absl::StatusOr<int> ListValues(Context& context, absl::string_view kind,
                               bool all_projects, const std::string& output) {
  ASSIGN_OR_RETURN(const OutputForm form, ParseObjectForm(output));
  ListOptions options;
  options.all_projects = all_projects;
  ASSIGN_OR_RETURN(Listing listing,
                   ListObjects(context, KindNamed(kind), options));
  if (form != OutputForm::kTable) {
    // No server sends one.
    for (v1::Object& object : listing.objects) {
      if (!object.has_secret()) continue;
      object.mutable_secret()->mutable_spec()->clear_sealed_value();
    }
    PrintObjects(context, listing.objects, form, false);
    return kExitOk;
  }
  std::vector<std::string> header = {"NAME",  "VERSION", "KEPT",
                                     "BYTES", "CHANGED", "BY"};
  if (all_projects) header.insert(header.begin(), "PROJECT");
  Table table(header);
  for (const v1::Object& object : listing.objects) {
    const v1::Metadata& metadata = manifest::MetadataOf(object);
    std::vector<std::string> row = {metadata.name(),
                                    absl::StrCat(CurrentOf(object)),
                                    absl::StrCat(VersionsOf(object).size()),
                                    "",
                                    "",
                                    ""};
    if (!VersionsOf(object).empty()) {
      const v1::ValueVersion& last = *VersionsOf(object).rbegin();
      row[3] = absl::StrCat(last.size_bytes());
      row[4] = Age(last.create_time(), context.clock.Now());
      row[5] = last.actor().name();
    }
    if (all_projects) row.insert(row.begin(), metadata.project());
    table.Add(std::move(row));
  }
  if (table.empty()) {
    context.io.Err(absl::StrCat("no ", kind, "s\n"));
    return kExitOk;
  }
  context.io.Out(table.Take());
  return kExitOk;
}

absl::StatusOr<int> ShowHistory(Context& context, absl::string_view kind,
                                const std::string& word,
                                const std::string& output) {
  RETURN_IF_ERROR(CheckMessageForm(output));
  ASSIGN_OR_RETURN(const std::string name, NameOfKind(word, kind));
  ASSIGN_OR_RETURN(const v1::Object object,
                   GetObject(context, KindNamed(kind), name));
  // What the table has, as the object's status has it.
  v1::SecretStatus history;
  history.set_version(CurrentOf(object));
  *history.mutable_versions() = VersionsOf(object);
  if (PrintMessage(context, history, output)) return kExitOk;
  Table table({"VERSION", "STATE", "BYTES", "CHANGED", "BY", "DIGEST"});
  for (const v1::ValueVersion& version : VersionsOf(object)) {
    std::string state =
        version.version() == CurrentOf(object) ? "current" : "kept";
    if (version.rolled_back_to() != 0) {
      absl::StrAppend(&state, ", back to ", version.rolled_back_to());
    }
    table.Add({absl::StrCat(version.version()), state,
               absl::StrCat(version.size_bytes()),
               Age(version.create_time(), context.clock.Now()),
               version.actor().name(), version.digest().substr(0, 12)});
  }
  context.io.Out(table.Take());
  return kExitOk;
}

// Without `to` the version before the current one.
absl::StatusOr<int> RollbackValue(Context& context, absl::string_view kind,
                                  const std::string& word,
                                  std::optional<int64_t> to) {
  ASSIGN_OR_RETURN(const std::string name, NameOfKind(word, kind));
  if (to.has_value() && *to < 1) {
    return UsageError(
        absl::StrCat("--to ", *to,
                     ": versions count from 1; leave it out to go back to the "
                     "one before the current"));
  }
  v1::RollbackValueRequest request;
  request.set_kind(std::string(kind));
  request.set_project(context.ProjectOrDefault());
  request.set_name(name);
  if (to.has_value()) request.set_to_version(*to);
  ASSIGN_OR_RETURN(const v1::RollbackValueResponse response,
                   context.client().RollbackValue(request));
  const v1::Object& object = response.object();
  context.io.Out(absl::StrCat(kind, " ", name, " is as version ",
                              VersionsOf(object).rbegin()->rolled_back_to(),
                              " was (version ", CurrentOf(object), ")\n"));
  return kExitOk;
}

absl::StatusOr<int> DeleteValues(Context& context, absl::string_view kind,
                                 const std::vector<std::string>& names) {
  v1::DeleteRequest request;
  for (const std::string& word : names) {
    ASSIGN_OR_RETURN(const std::string name, NameOfKind(word, kind));
    v1::ObjectReference& reference = *request.add_objects();
    reference.set_kind(std::string(kind));
    reference.set_project(context.ProjectOrDefault());
    reference.set_name(name);
  }
  ASSIGN_OR_RETURN(const v1::DeleteResponse response,
                   context.client().Delete(request));
  for (const v1::ObjectReference& object : response.deleted()) {
    context.io.Out(absl::StrCat(kind, " ", object.name(), " deleted\n"));
  }
  return kExitOk;
}

}  // namespace

void AddVersionCommands(CLI::App& group, Context& context, const char* kind) {
  struct Flags {
    std::string name;
    std::vector<std::string> names;
    std::string output;
    std::optional<int64_t> to;
    bool all_projects = false;
  };
  auto flags = std::make_shared<Flags>();
  const auto text = [kind](const char* before, const char* after) {
    return absl::StrCat(before, kind, after);
  };
  Command(group, context, "list",
          text("List ", "s: their names and versions, not what is in them"))
      .Flag("-A,--all-projects", flags->all_projects, "Of every project")
      .Option("-o,--output", flags->output, kObjectForms)
      .Action([kind, flags](Context& c) {
        return ListValues(c, kind, flags->all_projects, flags->output);
      });
  Command(group, context, "history", text("List the versions of a ", ""))
      .Word("NAME", flags->name, text("The ", ""), Command::kRequired)
      .Option("-o,--output", flags->output, kMessageForms)
      .Action([kind, flags](Context& c) {
        return ShowHistory(c, kind, flags->name, flags->output);
      });
  Command(group, context, "rollback",
          text("Make an older version of a ", " the newest version"))
      .Word("NAME", flags->name, text("The ", ""), Command::kRequired)
      .Option("--to", flags->to, "Its number, from 1; default the one before")
      .Action([kind, flags](Context& c) {
        return RollbackValue(c, kind, flags->name, flags->to);
      });
  Command(group, context, "delete", text("Delete ", "s and all their versions"))
      .Words("NAME", flags->names, text("The ", "s"), Command::kRequired)
      .Action([kind, flags](Context& c) {
        return DeleteValues(c, kind, flags->names);
      });
}

}  // namespace bulwark::ctl
