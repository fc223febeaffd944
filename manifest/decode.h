// From a tree to a message, by reflection.
#ifndef MANIFEST_DECODE_H_
#define MANIFEST_DECODE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"
#include "manifest/node.h"
#include "manifest/problem.h"

namespace bulwark::manifest {

// Reads the trees of one file. Aliases let a small file stand for a huge tree,
// so what one file may expand to is bounded. Thread-compatible.
class Decoder {
 public:
  Decoder(std::string file, bool server_fields, std::vector<Problem>& problems)
      : file_(std::move(file)),
        server_fields_(server_fields),
        problems_(problems) {}

  // The document's places; must outlive the calls that follow.
  void set_places(Places* places) { places_ = places; }

  // Fills `message` from `node`; whatever is wrong becomes a problem, and the
  // rest is read all the same. `path` is the message's path.
  void Decode(const Node& node, const std::string& path,
              google::protobuf::Message& message);

  // Names that are allowed beside the fields of the message at `path`, for
  // suggestions only.
  void Suggest(std::string path, std::vector<std::string> names);

  // The kind of the document, as `ctl explain` takes it; for remedies only.
  void set_kind(absl::string_view kind) { kind_ = std::string(kind); }

  // Appends a problem, unless the file has a hundred already.
  void Report(Mark mark, absl::string_view field, absl::string_view message,
              absl::string_view remedy = "");

  // Problems were left out.
  bool truncated() const { return truncated_; }

  // The entries of a map whose keys are text, without duplicates, with "<<"
  // merged in; the others are problems.
  struct Entry {
    std::string key;
    Mark mark;
    Node::Ptr value;
  };
  std::vector<Entry> Entries(const Node& map, const std::string& path);

 private:
  bool Spend(const Node& node);
  void Merge(const Node& from, const std::string& path,
             std::vector<Entry>& entries, int depth);
  void DecodeNoMap(const Node& node, const std::string& path,
                   google::protobuf::Message& message);
  void DecodeField(const Entry& entry, const std::string& path,
                   const google::protobuf::FieldDescriptor& field,
                   google::protobuf::Message& message);
  void DecodeSingle(const Node& node, const std::string& path,
                    const google::protobuf::FieldDescriptor& field,
                    google::protobuf::Message& message);
  void DecodeList(const Node& node, const std::string& path,
                  const google::protobuf::FieldDescriptor& field,
                  google::protobuf::Message& message);
  void DecodeMapForm(const Node& node, const std::string& path,
                     const google::protobuf::FieldDescriptor& field,
                     google::protobuf::Message& message);
  void DecodeMap(const Node& node, const std::string& path,
                 const google::protobuf::FieldDescriptor& field,
                 google::protobuf::Message& message);
  void DecodeInline(const std::vector<Entry>& entries, const std::string& path,
                    google::protobuf::Message& message,
                    std::vector<std::string>& seen);
  void ReportUnknown(const Entry& entry, const std::string& path,
                     const google::protobuf::Descriptor& type);
  void CheckRequired(const Node& node, const std::string& path,
                     const google::protobuf::Message& message,
                     const std::vector<std::string>& seen);

  const std::string file_;
  const bool server_fields_;
  std::vector<Problem>& problems_;
  Places* places_ = nullptr;
  std::string kind_;
  std::string suggest_path_;
  std::vector<std::string> suggest_names_;
  size_t nodes_ = 0;
  size_t bytes_ = 0;
  bool exhausted_ = false;
  bool truncated_ = false;
};

}  // namespace bulwark::manifest

#endif  // MANIFEST_DECODE_H_
