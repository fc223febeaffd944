// ctl explain: the reference of the manifests, from the schema's comments.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/descriptors.h"
#include "ctl/errors.h"
#include "ctl/objects.h"
#include "manifest/scalar.h"
#include "manifest/schema.h"
#include "manifest/shorthand.h"
#include "manifest/suggest.h"
#include "proto/bulwark/v1/options.pb.h"

namespace bulwark::ctl {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::SourceLocation;

struct Flags {
  std::string path;
};

// Comments come from the embedded schema; everything else from the compiled
// one, which knows the field options.
class Comments {
 public:
  Comments() {
    google::protobuf::FileDescriptorSet set;
    const absl::string_view bytes = Descriptors();
    if (!set.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      return;
    }
    for (const auto& file : set.file()) pool_.BuildFile(file);
  }

  std::string Of(const Descriptor& type) const {
    return Text(pool_.FindMessageTypeByName(type.full_name()));
  }
  std::string Of(const FieldDescriptor& field) const {
    return Text(pool_.FindFieldByName(field.full_name()));
  }

 private:
  template <typename T>
  static std::string Text(const T* descriptor) {
    SourceLocation location;
    if (descriptor == nullptr || !descriptor->GetSourceLocation(&location)) {
      return "";
    }
    std::vector<std::string> lines;
    for (absl::string_view line :
         absl::StrSplit(location.leading_comments, '\n')) {
      line = absl::StripAsciiWhitespace(line);
      if (!line.empty()) lines.emplace_back(line);
    }
    return WithoutMarks(absl::StrJoin(lines, "\n"));
  }

  // Marks() says those words of the API, in a user's.
  static std::string WithoutMarks(absl::string_view comment) {
    absl::string_view rest = comment;
    bool more = true;
    while (more) {
      more = false;
      for (absl::string_view mark :
           {"REQUIRED", "IMMUTABLE", "OUTPUT_ONLY", "INPUT_ONLY"}) {
        if (!absl::ConsumePrefix(&rest, mark)) continue;
        more = absl::ConsumePrefix(&rest, ", ");
        absl::ConsumePrefix(&rest, ".");
        break;
      }
    }
    return std::string(absl::StripLeadingAsciiWhitespace(rest));
  }

  DescriptorPool pool_;
};

std::string TypeName(const FieldDescriptor& field) {
  if (field.is_map()) return "mapping of text";
  std::string name;
  switch (field.options().GetExtension(v1::format)) {
    case v1::BYTES:
      name = "size (64Mi)";
      break;
    case v1::MILLICORES:
      name = "processor (500m)";
      break;
    case v1::PERCENT:
      name = "percent (70%)";
      break;
    case v1::FILE_MODE:
      name = "file mode (0644)";
      break;
    default:
      break;
  }
  if (name.empty()) {
    switch (field.type()) {
      case FieldDescriptor::TYPE_MESSAGE:
        name = field.message_type()->name() == "Duration" ? "duration (10s)"
               : field.message_type()->name() == "Timestamp"
                   ? "time"
                   : field.message_type()->name();
        break;
      case FieldDescriptor::TYPE_ENUM:
        name = absl::StrJoin(manifest::EnumWords(*field.enum_type()), " | ");
        break;
      case FieldDescriptor::TYPE_BOOL:
        name = "true | false";
        break;
      case FieldDescriptor::TYPE_STRING:
      case FieldDescriptor::TYPE_BYTES:
        name = "text";
        break;
      default:
        name = "number";
    }
  }
  return field.is_repeated() ? absl::StrCat("list of ", name) : name;
}

std::string Marks(const FieldDescriptor& field) {
  std::string out;
  if (field.options().GetExtension(v1::required)) out += ", required";
  if (field.options().GetExtension(v1::immutable)) out += ", cannot change";
  if (field.options().GetExtension(v1::output_only)) {
    out += ", set by the server";
  }
  if (field.options().GetExtension(v1::input_only)) {
    out += ", never given back";
  }
  return out;
}

std::string Indent(absl::string_view text, absl::string_view margin) {
  std::string out;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    absl::StrAppend(&out, margin, line, "\n");
  }
  return out;
}

void AppendFields(const Descriptor& type, const Comments& comments,
                  std::string& out) {
  absl::StrAppend(&out, "\nFields:\n");
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    absl::StrAppend(&out, "  ", field.json_name(), "  <", TypeName(field), ">",
                    Marks(field), "\n");
    const std::string comment = comments.Of(field);
    if (!comment.empty()) absl::StrAppend(&out, Indent(comment, "      "));
  }
}

// The field `name` of `type`, also one that may stand there inline.
const FieldDescriptor* Find(const Descriptor& type, absl::string_view name) {
  if (const FieldDescriptor* f = manifest::FindField(type, name)) return f;
  const FieldDescriptor* inlined = manifest::InlineField(type);
  return inlined == nullptr ? nullptr : Find(*inlined->message_type(), name);
}

absl::StatusOr<int> Run(Context& context, const Flags& flags) {
  std::vector<std::string> words =
      absl::StrSplit(flags.path, absl::ByAnyChar("./"), absl::SkipEmpty());
  if (words.empty()) return UsageError("name a kind, such as service.spec");
  ASSIGN_OR_RETURN(const manifest::Kind* kind, KindFromWord(words[0]));
  const Comments comments;
  const Descriptor* type = kind->field->message_type();
  const FieldDescriptor* field = nullptr;
  for (size_t i = 1; i < words.size(); ++i) {
    // "containers[0]" is what errors say.
    const std::string name = words[i].substr(0, words[i].find('['));
    field = type == nullptr ? nullptr : Find(*type, name);
    if (field == nullptr) {
      const std::string nearest =
          type == nullptr
              ? ""
              : manifest::Nearest(name, manifest::KnownNames(*type));
      return UsageError(absl::StrCat(
          flags.path, ": there is no field ", name,
          nearest.empty() ? ""
                          : absl::StrCat("; did you mean ", nearest, "?")));
    }
    type = manifest::IsScalarField(*field) || field->is_map()
               ? nullptr
               : field->message_type();
  }
  std::string out;
  if (field == nullptr) {
    absl::StrAppend(&out, kind->name,
                    kind->declared ? "" : "  made by the server", "\n");
  } else {
    absl::StrAppend(&out, flags.path, "  <", TypeName(*field), ">",
                    Marks(*field), "\n");
    const std::string comment = comments.Of(*field);
    if (!comment.empty()) absl::StrAppend(&out, Indent(comment, "  "));
  }
  if (type != nullptr) {
    const std::string about = comments.Of(*type);
    if (!about.empty()) absl::StrAppend(&out, Indent(about, "  "));
    if (manifest::HasShortForm(*type)) {
      absl::StrAppend(&out, "  Short: \"", manifest::ShortFormExample(*type),
                      "\"\n");
    }
    AppendFields(*type, comments, out);
  }
  context.io.Out(out);
  return kExitOk;
}

}  // namespace

void AddExplain(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "explain",
          "Print the reference of a kind or field: explain service.spec.ports")
      .Word("KIND.PATH", flags->path, "As in errors and manifests",
            Command::kRequired)
      .Action([flags](Context& c) { return Run(c, *flags); });
}

}  // namespace bulwark::ctl
