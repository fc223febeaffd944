// ctl audit: who did what.
#include <memory>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "base/units.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/message_form.h"
#include "ctl/print/table.h"
#include "ctl/print/text.h"
#include "manifest/codec.h"

namespace bulwark::ctl {
namespace {

// A long log is read from one end to the other.
constexpr absl::Duration kVerifyTime = absl::Minutes(10);
constexpr int kShownObjects = 3;

struct Flags {
  std::string verb;
  std::string since;
  std::string actor;
  std::string kind;
  std::string object;
  std::string output;
  std::optional<int64_t> tail;
  bool follow = false;
};

absl::StatusOr<v1::AuditRequest> RequestOf(Context& context,
                                           const Flags& flags) {
  v1::AuditRequest request;
  if (!flags.since.empty()) {
    absl::Time time;
    const absl::StatusOr<absl::Duration> ago = ParseDuration(flags.since);
    if (ago.ok()) {
      time = context.clock.Now() - *ago;
    } else if (!absl::ParseTime(absl::RFC3339_full, flags.since, &time,
                                nullptr)) {
      return UsageError(absl::StrCat("--since ", flags.since,
                                     ": a duration such as 10m or a time such "
                                     "as 2030-01-31T12:00:00Z"));
    }
    request.mutable_since()->set_seconds(absl::ToUnixSeconds(time));
  }
  if (flags.tail.has_value()) {
    if (*flags.tail < 0) return UsageError("--tail: a number of records");
    request.set_tail(*flags.tail);
  }
  request.set_actor(flags.actor);
  request.set_kind(flags.kind);
  request.set_object(flags.object);
  request.set_follow(flags.follow);
  return request;
}

// "Services.Scale" of "/bulwark.v1.Services/Scale".
std::string CallOf(const v1::AuditRecord& record) {
  const std::string& method = record.method();
  const size_t slash = method.rfind('/');
  const size_t dot = method.rfind('.', slash);
  if (slash == std::string::npos || dot == std::string::npos) return method;
  return absl::StrCat(method.substr(dot + 1, slash - dot - 1), ".",
                      method.substr(slash + 1));
}

std::string ObjectsOf(const v1::AuditRecord& record) {
  std::vector<std::string> names;
  for (const v1::ObjectReference& object : record.objects()) {
    if (names.size() == kShownObjects) {
      names.push_back(
          absl::StrCat("and ", record.objects_size() - kShownObjects, " more"));
      break;
    }
    names.push_back(
        absl::StrCat(object.project().empty() || object.project() == "default"
                         ? ""
                         : absl::StrCat(object.project(), ":"),
                     object.kind(), "/", object.name()));
  }
  return absl::StrJoin(names, " ");
}

std::string ResultOf(const v1::AuditRecord& record) {
  return record.code() == 0 ? "ok"
                            : absl::StatusCodeToString(
                                  static_cast<absl::StatusCode>(record.code()));
}

std::vector<std::string> RowOf(const v1::AuditRecord& record) {
  return {
      absl::StrCat(record.sequence()),
      FormatTimestamp(record.time()),
      record.actor().name(),
      CallOf(record),
      ObjectsOf(record),
      ResultOf(record),
      record.error().empty()
          ? record.detail()
          : absl::StrCat(record.detail(), record.detail().empty() ? "" : "; ",
                         record.error())};
}

// On one line: for what reads line by line. Text in it has no newlines.
std::string JsonLine(const v1::AuditRecord& record) {
  std::string line;
  for (absl::string_view part :
       absl::StrSplit(manifest::PrintJson(record), '\n')) {
    absl::StrAppend(&line, absl::StripAsciiWhitespace(part));
  }
  return line;
}

// An array as of other commands, or, where it has no end, a record a line.
class JsonRecords {
 public:
  JsonRecords(Context& context, bool follow)
      : context_(context), follow_(follow) {}

  void Add(const v1::AuditRecord& record) {
    const char* before = follow_ ? "" : any_ ? ",\n" : "[\n";
    context_.io.Out(
        absl::StrCat(before, JsonLine(record), follow_ ? "\n" : ""));
    any_ = true;
  }
  void Finish() {
    if (!follow_) context_.io.Out(any_ ? "\n]\n" : "[]\n");
  }

 private:
  Context& context_;
  const bool follow_;
  bool any_ = false;
};

absl::StatusOr<int> Show(Context& context, const Flags& flags) {
  if (!flags.output.empty() && flags.output != "json") {
    return UsageError(absl::StrCat("-o ", flags.output, ": json"));
  }
  ASSIGN_OR_RETURN(const v1::AuditRequest request, RequestOf(context, flags));
  Table table({"NUMBER", "TIME", "WHO", "CALL", "OBJECTS", "RESULT", "DETAIL"});
  const bool as_json = flags.output == "json";
  JsonRecords json(context, flags.follow);
  const absl::Status status =
      context.client().Audit(request, [&](const v1::AuditRecord& record) {
        if (as_json) return json.Add(record);
        table.Add(RowOf(record));
        if (flags.follow) context.io.Out(table.Take());
      });
  // What came before an error is told as well, and then not as if it were all.
  if (as_json) {
    if (status.ok()) json.Finish();
  } else if (!table.empty()) {
    context.io.Out(table.Take());
  } else if (status.ok() && flags.tail != 0) {
    context.io.Err("no such records in the audit log\n");
  }
  if (!status.ok()) return status;
  return kExitOk;
}

absl::StatusOr<int> Verify(Context& context, const Flags& flags) {
  RETURN_IF_ERROR(CheckMessageForm(flags.output));
  ASSIGN_OR_RETURN(const v1::VerifyAuditResponse response,
                   context.client().VerifyAudit(context.clock.Now() +
                                                context.Timeout(kVerifyTime)));
  if (PrintMessage(context, response, flags.output)) return kExitOk;
  context.io.Out(absl::StrCat(
      response.records(), " records, all in place; the last one's hash is ",
      absl::BytesToHexString(response.last_hash()), "\n"));
  return kExitOk;
}

absl::StatusOr<int> Run(Context& context, const Flags& flags) {
  if (flags.verb == "verify") return Verify(context, flags);
  if (!flags.verb.empty()) {
    return UsageError(
        absl::StrCat("\"", flags.verb, "\": only \"verify\" can stand there"));
  }
  return Show(context, flags);
}

}  // namespace

void AddAudit(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "audit",
          "Show who changed, ran or was refused what, the latest last; "
          "\"audit verify\" checks that the log is whole")
      .Word("VERIFY", flags->verb, "\"verify\": check the chain of records")
      .Option("--since", flags->since, "Only since 10m, or since a time")
      .Option("--actor", flags->actor, "Only of this user")
      .Option("--kind", flags->kind, "Only about objects of this kind")
      .Option("--object", flags->object, "Only about this one: service/web")
      .Option("--tail", flags->tail, "Only the last so many; 0: none")
      .Flag("-f,--follow", flags->follow, "Go on with new records")
      .Option("-o,--output", flags->output,
              "json: an array, with -f one record a line; of verify also yaml")
      .Action([flags](Context& c) { return Run(c, *flags); });
}

}  // namespace bulwark::ctl
