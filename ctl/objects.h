// Objects as commands name, fetch and print them.
#ifndef CTL_OBJECTS_H_
#define CTL_OBJECTS_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ctl/context.h"
#include "ctl/print/columns.h"
#include "manifest/kinds.h"

namespace bulwark::ctl {

// The kind that the word means; else a usage error that suggests one.
absl::StatusOr<const manifest::Kind*> KindFromWord(absl::string_view word);

struct Target {
  const manifest::Kind* kind = nullptr;
  // Empty: every object of the kind.
  std::string name;
};

// KIND, KIND NAME… or KIND/NAME….
absl::StatusOr<std::vector<Target>> ParseTargets(
    const std::vector<std::string>& words);

// NAME, or KIND/NAME where the kind must be `api_kind`: the name.
absl::StatusOr<std::string> NameOfKind(absl::string_view word,
                                       absl::string_view api_kind);

// "a=1,b=2" of one or more -l flags.
absl::StatusOr<std::map<std::string, std::string>> ParseLabels(
    const std::vector<std::string>& flags);

// Objects of the kind belong to no project: projects themselves, and nodes.
bool IsOfTheHost(const manifest::Kind& kind);

// Where objects of the kind are found: --project, unless they belong to none.
std::string ProjectFor(const Context& context, const manifest::Kind& kind);

absl::StatusOr<v1::Object> GetObject(Context& context,
                                     const manifest::Kind& kind,
                                     const std::string& name);

struct ListOptions {
  std::map<std::string, std::string> labels;
  std::string service;
  bool all_projects = false;
};

// All pages, ordered by project and name as the server gives them, and the
// revision to watch from.
struct Listing {
  std::vector<v1::Object> objects;
  int64_t revision = 0;
};
absl::StatusOr<Listing> ListObjects(Context& context,
                                    const manifest::Kind& kind,
                                    const ListOptions& options);

enum class OutputForm { kTable, kWide, kJson, kYaml, kManifest, kName };

// What help says of them, and of all but "wide".
inline constexpr char kOutputForms[] =
    "wide, json, yaml, manifest (can be applied again), name";
inline constexpr char kObjectForms[] =
    "json, yaml, manifest (can be applied again), name";

// "", "wide", "json", "yaml", "manifest" or "name"; else a usage error.
absl::StatusOr<OutputForm> ParseOutputForm(absl::string_view word);

// The same without "wide", where kTable is what is made for people and has no
// more columns.
absl::StatusOr<OutputForm> ParseObjectForm(absl::string_view word);

// A form for people.
bool IsTable(OutputForm form);

// "job/import", as calls that take a service name a job.
std::string JobReference(absl::string_view name);

// "service/web".
std::string ReferenceOf(const v1::Object& object);

// Prints the objects in a form that is no table; `single` leaves the JSON
// array out.
void PrintObjects(Context& context, const std::vector<v1::Object>& objects,
                  OutputForm form, bool single);

}  // namespace bulwark::ctl

#endif  // CTL_OBJECTS_H_
