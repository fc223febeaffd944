// Manifests, YAML or JSON, to objects and back.
//
// The schema is the protobuf messages of bulwark.v1, read by reflection: field
// names in lowerCamelCase, and the options of options.proto say how a value is
// written. docs/manifest.md has the rules for people.
#ifndef MANIFEST_CODEC_H_
#define MANIFEST_CODEC_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "manifest/node.h"
#include "manifest/problem.h"
#include "manifest/substitute.h"
#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::manifest {

struct ParseOptions {
  // As it stands in problems and places.
  std::string file = "<stdin>";
  // Absolute path of the folder that relative host paths are taken from; empty:
  // they stay as they are.
  std::string folder;
  // For ${NAME}; null: dollar signs mean nothing.
  VariableLookup variables;
  // Take what the server sets as well (uid, status, …), and the kinds that only
  // it makes: the text comes from PrintYaml, not from a person.
  bool server_fields = false;
};

struct ParsedObject {
  v1::Object object;
  // Where each field of the full form was written.
  Places places;
};

// Either there are no problems and every document became an object, or the
// problems say all that is wrong (at most 100 a file) and the objects are not
// to be used.
struct ParseResult {
  std::vector<ParsedObject> objects;
  std::vector<Problem> problems;

  bool ok() const { return problems.empty(); }
};

// Reads every document of `text`. Never throws; bounded in time and memory
// whatever the text (see yaml.h).
ParseResult Parse(absl::string_view text, const ParseOptions& options);

struct PrintOptions {
  // Print what the server sets. Without it the text is a manifest.
  bool server_fields = true;
  // Write "$${" for "${", so that the text means the same to Parse with
  // variables.
  bool escape_variables = false;
};

// The full form of one object, fields in the order of the schema, without
// fields that are not set. Ends with a newline.
std::string PrintYaml(const v1::Object& object, const PrintOptions& options);
// Documents separated by "---".
std::string PrintYaml(const std::vector<v1::Object>& objects,
                      const PrintOptions& options);
std::string PrintJson(const v1::Object& object, const PrintOptions& options);
// An array.
std::string PrintJson(const std::vector<v1::Object>& objects,
                      const PrintOptions& options);
// The full form as a tree, which a caller may add to before it is written.
Node::Ptr EncodeObject(const v1::Object& object, const PrintOptions& options);
// Any message, e.g. a response, by the same rules.
std::string PrintJson(const google::protobuf::Message& message);
std::string PrintYaml(const google::protobuf::Message& message);

}  // namespace bulwark::manifest

#endif  // MANIFEST_CODEC_H_
