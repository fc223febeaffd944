// ctl rollout status, history, undo: how one revision follows another.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/message_form.h"
#include "ctl/objects.h"
#include "ctl/print/table.h"
#include "ctl/print/text.h"
#include "ctl/wait.h"

namespace bulwark::ctl {
namespace {

constexpr absl::Duration kDefaultWait = absl::Minutes(10);

struct Flags {
  std::string word;
  std::string output;
  std::optional<int64_t> to_revision;
  bool no_wait = false;
  bool wait = false;
};

absl::Status Wait(Context& context, const std::string& name) {
  return WaitFor(context, *manifest::FindKind("service"),
                 context.ProjectOrDefault(), name,
                 context.clock.Now() + context.Timeout(kDefaultWait), false,
                 JudgeAvailable);
}

absl::StatusOr<int> Status(Context& context, const Flags& flags) {
  ASSIGN_OR_RETURN(std::string name, NameOfKind(flags.word, "service"));
  if (!flags.no_wait) {
    RETURN_IF_ERROR(Wait(context, name));
    return kExitOk;
  }
  ASSIGN_OR_RETURN(v1::Object object,
                   GetObject(context, *manifest::FindKind("service"), name));
  const Judgement judgement = JudgeAvailable(&object);
  context.io.Out(absl::StrCat("service ", name, ": ", judgement.message, "\n"));
  return judgement.verdict == Verdict::kFailed ? kExitError : kExitOk;
}

absl::string_view StateOf(const v1::Revision& revision,
                          const v1::Service& service) {
  if (revision.number() == service.status().revision()) return "current";
  if (!revision.failure().empty()) return "failed";
  return revision.good() ? "good" : "";
}

// What the table has, with times.
manifest::Node::Ptr HistoryTree(const v1::Service& service,
                                const std::vector<v1::Object>& revisions) {
  using manifest::Node;
  const auto text = [](absl::string_view value) {
    return Node::Scalar(value, /*quoted=*/true);
  };
  const auto number = [](int64_t value) {
    return Node::Scalar(absl::StrCat(value), /*quoted=*/false);
  };
  Node::Ptr list = Node::List();
  for (const v1::Object& each : revisions) {
    const v1::Revision& revision = each.revision();
    Node::Ptr images = Node::List();
    for (const v1::Container& container : revision.template_().containers()) {
      images->items.push_back(text(container.image()));
    }
    Node::Ptr entry = Node::Map();
    entry->Set("number", number(revision.number()));
    entry->Set("state", text(StateOf(revision, service)));
    entry->Set("images", std::move(images));
    entry->Set("by", text(revision.actor().name()));
    if (revision.metadata().has_create_time()) {
      entry->Set("createTime",
                 text(FormatTimestamp(revision.metadata().create_time())));
    }
    entry->Set("failure", text(revision.failure()));
    list->items.push_back(std::move(entry));
  }
  Node::Ptr tree = Node::Map();
  tree->Set("service", text(service.metadata().name()));
  tree->Set("revision", number(service.status().revision()));
  tree->Set("revisions", std::move(list));
  return tree;
}

absl::StatusOr<int> History(Context& context, const Flags& flags) {
  RETURN_IF_ERROR(CheckMessageForm(flags.output));
  ASSIGN_OR_RETURN(std::string name, NameOfKind(flags.word, "service"));
  ASSIGN_OR_RETURN(v1::Object object,
                   GetObject(context, *manifest::FindKind("service"), name));
  ListOptions options;
  options.service = name;
  ASSIGN_OR_RETURN(
      Listing listing,
      ListObjects(context, *manifest::FindKind("revision"), options));
  std::sort(listing.objects.begin(), listing.objects.end(),
            [](const v1::Object& a, const v1::Object& b) {
              return a.revision().number() < b.revision().number();
            });
  if (PrintTrees(context, {HistoryTree(object.service(), listing.objects)},
                 /*single=*/true, flags.output)) {
    return kExitOk;
  }
  Table table({"REVISION", "STATE", "IMAGES", "BY", "AGE", "FAILURE"},
              context.io.color());
  for (const v1::Object& each : listing.objects) {
    const v1::Revision& revision = each.revision();
    table.Add({absl::StrCat(revision.number()),
               std::string(StateOf(revision, object.service())),
               JoinImages(revision.template_().containers()),
               revision.actor().name(),
               Age(revision.metadata().create_time(), context.clock.Now()),
               revision.failure()});
  }
  context.io.Out(table.Take());
  return kExitOk;
}

absl::StatusOr<int> Undo(Context& context, const Flags& flags) {
  ASSIGN_OR_RETURN(std::string name, NameOfKind(flags.word, "service"));
  v1::UndoRequest request;
  request.set_project(context.ProjectOrDefault());
  request.set_service(name);
  if (flags.to_revision.has_value()) {
    if (*flags.to_revision < 1) {
      return UsageError(
          absl::StrCat("--to-revision ", *flags.to_revision,
                       ": revisions count from 1; leave it out to go back to "
                       "the last good one"));
    }
    request.set_to_revision(*flags.to_revision);
  }
  const absl::Status undone = context.client().Undo(request).status();
  if (undone.code() == absl::StatusCode::kNotFound) {
    return WithRemedy(undone, absl::StrCat("ctl rollout history ", name,
                                           " lists its revisions"));
  }
  RETURN_IF_ERROR(undone);
  context.io.Out(
      absl::StrCat("service ", name, " goes back to ",
                   flags.to_revision.has_value()
                       ? absl::StrCat("revision ", *flags.to_revision)
                       : "its last good revision",
                   "\n"));
  if (flags.wait) RETURN_IF_ERROR(Wait(context, name));
  return kExitOk;
}

}  // namespace

void AddRollout(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  CLI::App& group =
      Command(app, context, "rollout", "Follow, list and undo revisions")
          .Group();
  Command(group, context, "status", "Wait until the rollout has ended")
      .Word("SERVICE", flags->word, "The service", Command::kRequired)
      .Flag("--no-wait", flags->no_wait, "Say how it stands now")
      .Action([flags](Context& c) { return Status(c, *flags); });
  Command(group, context, "history", "List the revisions of a service")
      .Word("SERVICE", flags->word, "The service", Command::kRequired)
      .Option("-o,--output", flags->output, kMessageForms)
      .Action([flags](Context& c) { return History(c, *flags); });
  Command(group, context, "undo", "Declare an older revision again")
      .Word("SERVICE", flags->word, "The service", Command::kRequired)
      .Option(
          "--to-revision", flags->to_revision,
          "Its number, from 1; default the last good one before the current")
      .Flag("--wait", flags->wait, "Return when it is available")
      .Action([flags](Context& c) { return Undo(c, *flags); });
}

}  // namespace bulwark::ctl
