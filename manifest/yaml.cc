#include "manifest/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <map>
#include <optional>
#include <sstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "manifest/utf8.h"

namespace bulwark::manifest {
namespace {

constexpr absl::string_view kCoreTags = "tag:yaml.org,2002:";

Mark ToMark(const YAML::Mark& mark) {
  return mark.is_null() ? Mark{} : Mark{mark.line + 1, mark.column + 1};
}

// Builds the tree of one document. After a limit is hit it ignores the rest.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(absl::string_view file, const Substitution& substitution,
              std::vector<Problem>& problems, size_t& nodes)
      : file_(file),
        substitution_(substitution),
        problems_(problems),
        nodes_(nodes) {}

  Node::Ptr root() const { return failed_ ? nullptr : root_; }
  bool failed() const { return failed_; }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Leaf(Make(mark, Node::Kind::kNull), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (failed_) return;
    auto it = anchors_.find(anchor);
    if (it == anchors_.end()) {
      Fail(mark, "an alias cannot stand inside what it names");
      return;
    }
    Add(it->second);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag,
                YAML::anchor_t anchor, const std::string& value) override {
    Node::Ptr node = Make(mark, Node::Kind::kScalar);
    if (!node) return;
    node->quoted = tag == "!" || tag == absl::StrCat(kCoreTags, "str");
    CheckTag(mark, tag);
    node->text = substitution_.Expand(value, problems_);
    Leaf(node, anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag,
                       YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    CheckTag(mark, tag);
    Open(Make(mark, Node::Kind::kList), anchor);
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag,
                  YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    CheckTag(mark, tag);
    Open(Make(mark, Node::Kind::kMap), anchor);
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Frame {
    Node::Ptr node;
    YAML::anchor_t anchor = 0;
    Node::Ptr key;
  };

  void Fail(const YAML::Mark& mark, absl::string_view message,
            absl::string_view remedy = "") {
    if (failed_) return;
    failed_ = true;
    problems_.push_back(
        {{file_, ToMark(mark)}, "", std::string(message), std::string(remedy)});
  }

  void CheckTag(const YAML::Mark& mark, absl::string_view tag) {
    if (tag.empty() || tag == "!" || tag == "?") return;
    if (absl::StartsWith(tag, kCoreTags) &&
        tag != absl::StrCat(kCoreTags, "binary")) {
      return;
    }
    Fail(mark, absl::StrCat("the tag ", tag, " has no meaning here"));
  }

  Node::Ptr Make(const YAML::Mark& mark, Node::Kind kind) {
    if (failed_) return nullptr;
    if (++nodes_ > kMaxNodes) {
      Fail(mark, absl::StrCat("more than ", kMaxNodes, " values in one file"),
           "split it");
      return nullptr;
    }
    auto node = std::make_shared<Node>();
    node->kind = kind;
    node->mark = ToMark(mark);
    return node;
  }

  void Leaf(Node::Ptr node, YAML::anchor_t anchor) {
    if (!node || failed_) return;
    if (anchor != 0) anchors_[anchor] = node;
    Add(std::move(node));
  }

  void Open(Node::Ptr node, YAML::anchor_t anchor) {
    if (!node || failed_) return;
    if (stack_.size() >= kMaxDepth) {
      failed_ = true;
      problems_.push_back(
          {{file_, node->mark},
           "",
           absl::StrCat("nested more than ", kMaxDepth, " levels deep"),
           "no field of a manifest lies that deep"});
      return;
    }
    stack_.push_back({std::move(node), anchor, nullptr});
  }

  // An anchor counts from its end on: an alias inside would make a cycle.
  void Close() {
    if (failed_ || stack_.empty()) return;
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    if (frame.anchor != 0) anchors_[frame.anchor] = frame.node;
    Add(std::move(frame.node));
  }

  void Add(Node::Ptr node) {
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& top = stack_.back();
    if (top.node->IsList()) {
      top.node->items.push_back(std::move(node));
    } else if (!top.key) {
      top.key = std::move(node);
    } else {
      top.node->entries.emplace_back(std::move(top.key), std::move(node));
      top.key = nullptr;
    }
  }

  const std::string file_;
  const Substitution& substitution_;
  std::vector<Problem>& problems_;
  size_t& nodes_;
  bool failed_ = false;
  Node::Ptr root_;
  std::vector<Frame> stack_;
  std::map<YAML::anchor_t, Node::Ptr> anchors_;
};

void AddRoot(const Node::Ptr& root, YamlDocuments& out) {
  if (!root || root->kind == Node::Kind::kNull) return;
  if (!root->IsList()) {
    out.roots.push_back(root);
    return;
  }
  for (const Node::Ptr& item : root->items) out.roots.push_back(item);
}

// yaml-cpp's wording, without its own "yaml-cpp: error at line …" prefix.
Problem SyntaxProblem(absl::string_view file, const YAML::Exception& e) {
  return {{std::string(file), ToMark(e.mark)},
          "",
          absl::StrCat("not YAML: ", e.msg),
          ""};
}

}  // namespace

YamlDocuments ReadYaml(absl::string_view file, absl::string_view text,
                       Substitution& substitution) {
  YamlDocuments out;
  auto fail = [&](Mark mark, std::string message, std::string remedy) {
    out.problems.push_back(
        {{std::string(file), mark}, "", std::move(message), std::move(remedy)});
  };
  if (text.size() > kMaxFileBytes) {
    fail({}, absl::StrCat("larger than ", kMaxFileBytes >> 20, " MiB"),
         "is it a manifest? Then split it");
    return out;
  }
  if (size_t bad = FindInvalidUtf8(text); bad != absl::string_view::npos) {
    fail(MarkAt(text, bad), "not UTF-8 text",
         "is it a manifest? Then save it as UTF-8");
    return out;
  }
  size_t nodes = 0;
  std::optional<TreeBuilder> builder;
  // What the parser makes of a text behind one of our limits is no news.
  auto known = [&builder] { return builder.has_value() && builder->failed(); };
  try {
    std::istringstream stream(substitution.Protect(JoinSurrogateEscapes(text)));
    YAML::Parser parser(stream);
    for (size_t count = 0;; ++count) {
      builder.emplace(file, substitution, out.problems, nodes);
      if (!parser.HandleNextDocument(*builder)) break;
      AddRoot(builder->root(), out);
      if (known()) break;
      if (count >= kMaxDocuments) {
        fail({}, absl::StrCat("more than ", kMaxDocuments, " documents"),
             "split it");
        break;
      }
    }
  } catch (const YAML::Exception& e) {
    if (!known()) out.problems.push_back(SyntaxProblem(file, e));
  } catch (const std::exception& e) {
    if (!known()) fail({}, absl::StrCat("cannot be read: ", e.what()), "");
  }
  return out;
}

}  // namespace bulwark::manifest
