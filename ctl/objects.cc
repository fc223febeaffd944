#include "ctl/objects.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "ctl/errors.h"
#include "manifest/codec.h"
#include "manifest/suggest.h"

namespace bulwark::ctl {

using manifest::Kind;

absl::StatusOr<const Kind*> KindFromWord(absl::string_view word) {
  if (const Kind* kind = manifest::FindKind(word)) return kind;
  std::vector<std::string> names;
  for (const Kind& kind : manifest::AllKinds()) names.push_back(kind.plural);
  const std::string nearest = manifest::Nearest(word, names);
  return UsageError(absl::StrCat(
      "\"", word, "\" is no kind of object; ",
      nearest.empty()
          ? absl::StrCat("if it is the name of a service, write "
                         "service/",
                         word, "; kinds are ", absl::StrJoin(names, ", "))
          : absl::StrCat("did you mean ", nearest, "?")));
}

absl::StatusOr<std::vector<Target>> ParseTargets(
    const std::vector<std::string>& words) {
  std::vector<Target> targets;
  if (words.empty()) return UsageError("give KIND, KIND NAME or KIND/NAME");
  const bool slashes = absl::StrContains(words[0], '/');
  const Kind* kind = nullptr;
  if (!slashes) {
    ASSIGN_OR_RETURN(kind, KindFromWord(words[0]));
    if (words.size() == 1) targets.push_back({kind, ""});
  }
  for (size_t i = slashes ? 0 : 1; i < words.size(); ++i) {
    if (absl::StrContains(words[i], '/') != slashes) {
      return UsageError(absl::StrCat("\"", words[i],
                                     "\": give either KIND NAME… or "
                                     "KIND/NAME…"));
    }
    std::string name = words[i];
    if (slashes) {
      std::pair<std::string, std::string> parts =
          absl::StrSplit(words[i], absl::MaxSplits('/', 1));
      ASSIGN_OR_RETURN(kind, KindFromWord(parts.first));
      name = parts.second;
    }
    if (name.empty()) return UsageError("an object's name is empty");
    targets.push_back({kind, name});
  }
  return targets;
}

absl::StatusOr<std::string> NameOfKind(absl::string_view word,
                                       absl::string_view api_kind) {
  if (!absl::StrContains(word, '/')) return std::string(word);
  std::pair<std::string, std::string> parts =
      absl::StrSplit(word, absl::MaxSplits('/', 1));
  ASSIGN_OR_RETURN(const Kind* kind, KindFromWord(parts.first));
  if (kind->api_name != api_kind || parts.second.empty()) {
    return UsageError(absl::StrCat("\"", word, "\" is no ", api_kind));
  }
  return parts.second;
}

absl::StatusOr<std::map<std::string, std::string>> ParseLabels(
    const std::vector<std::string>& flags) {
  std::map<std::string, std::string> labels;
  for (const std::string& flag : flags) {
    for (absl::string_view part : absl::StrSplit(flag, ',')) {
      const size_t equals = part.find('=');
      if (equals == 0 || equals == absl::string_view::npos) {
        return UsageError(
            absl::StrCat("\"", flag, "\" is not labels such as tier=web"));
      }
      labels[std::string(part.substr(0, equals))] =
          std::string(part.substr(equals + 1));
    }
  }
  return labels;
}

bool IsOfTheHost(const Kind& kind) {
  return kind.api_name == "project" || kind.api_name == "node";
}

std::string ProjectFor(const Context& context, const Kind& kind) {
  return IsOfTheHost(kind) ? "default" : context.ProjectOrDefault();
}

absl::StatusOr<v1::Object> GetObject(Context& context, const Kind& kind,
                                     const std::string& name) {
  v1::GetRequest request;
  request.set_kind(kind.api_name);
  request.set_project(ProjectFor(context, kind));
  request.set_name(name);
  return context.client().Get(request);
}

absl::StatusOr<Listing> ListObjects(Context& context, const Kind& kind,
                                    const ListOptions& options) {
  v1::ListRequest request;
  request.set_kind(kind.api_name);
  request.set_project(options.all_projects ? "*" : ProjectFor(context, kind));
  request.mutable_labels()->insert(options.labels.begin(),
                                   options.labels.end());
  request.set_service(options.service);
  Listing listing;
  do {
    ASSIGN_OR_RETURN(v1::ListResponse response, context.client().List(request));
    for (v1::Object& object : *response.mutable_objects()) {
      listing.objects.push_back(std::move(object));
    }
    // Changes between two pages are seen again: the first revision counts.
    if (listing.revision == 0) listing.revision = response.revision();
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return listing;
}

absl::StatusOr<OutputForm> ParseOutputForm(absl::string_view word) {
  if (word.empty()) return OutputForm::kTable;
  if (word == "wide") return OutputForm::kWide;
  if (word == "json") return OutputForm::kJson;
  if (word == "yaml") return OutputForm::kYaml;
  if (word == "manifest") return OutputForm::kManifest;
  if (word == "name") return OutputForm::kName;
  return UsageError(
      absl::StrCat("-o ", word, ": one of wide, json, yaml, manifest, name"));
}

absl::StatusOr<OutputForm> ParseObjectForm(absl::string_view word) {
  const absl::StatusOr<OutputForm> form = ParseOutputForm(word);
  if (form.ok() && *form != OutputForm::kWide) return form;
  return UsageError(
      absl::StrCat("-o ", word, ": one of json, yaml, manifest, name"));
}

bool IsTable(OutputForm form) {
  return form == OutputForm::kTable || form == OutputForm::kWide;
}

std::string JobReference(absl::string_view name) {
  return absl::StrCat("job/", name);
}

std::string ReferenceOf(const v1::Object& object) {
  const Kind* kind = manifest::KindOf(object);
  return absl::StrCat(kind == nullptr ? "object" : kind->api_name, "/",
                      manifest::MetadataOf(object).name());
}

void PrintObjects(Context& context, const std::vector<v1::Object>& objects,
                  OutputForm form, bool single) {
  manifest::PrintOptions options;
  switch (form) {
    case OutputForm::kJson:
      context.io.Out(single && objects.size() == 1
                         ? manifest::PrintJson(objects[0], options)
                         : manifest::PrintJson(objects, options));
      return;
    case OutputForm::kManifest: {
      options.server_fields = false;
      options.escape_variables = true;
      std::vector<v1::Object> manifests = objects;
      // It would be refused as soon as the server writes a status.
      for (v1::Object& object : manifests) {
        manifest::MutableMetadata(object).clear_resource_version();
      }
      context.io.Out(manifest::PrintYaml(manifests, options));
      return;
    }
    case OutputForm::kName:
      for (const v1::Object& object : objects) {
        context.io.Out(absl::StrCat(ReferenceOf(object), "\n"));
      }
      return;
    default:
      context.io.Out(manifest::PrintYaml(objects, options));
  }
}

}  // namespace bulwark::ctl
