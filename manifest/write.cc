// Trees as YAML and JSON text.
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "manifest/node.h"

namespace bulwark::manifest {
namespace {

// The text in double quotes; the escapes are JSON's, which YAML also knows.
std::string Quote(absl::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\r':
        out += "\\r";
        break;
      default:
        if ((c >= 0 && c < ' ') || c == 0x7f) {
          absl::StrAppendFormat(&out, "\\u%04x", static_cast<int>(c));
        } else {
          out.push_back(c);
        }
    }
  }
  out.push_back('"');
  return out;
}

// Whether some YAML reader would take the plain text for something else than
// this string.
bool LooksSpecial(absl::string_view text) {
  const std::string lower = absl::AsciiStrToLower(text);
  for (absl::string_view word : {"true", "false", "yes", "no", "on", "off",
                                 "null", "~", "y", "n", "nan", "inf"}) {
    if (lower == word) return true;
  }
  double ignored;
  // Numbers, also in YAML 1.1's forms (0644, 0x1f, 1:30), and dates.
  return absl::SimpleAtod(text, &ignored) || absl::ascii_isdigit(text[0]) ||
         text[0] == '+' || text[0] == '.' || text[0] == '-';
}

bool IsPlainSafe(absl::string_view text) {
  if (text.empty() || text.front() == ' ' || text.back() == ' ') return false;
  if (!absl::ascii_isalnum(text[0]) && text[0] != '/' && text[0] != '_') {
    return false;
  }
  for (char c : text) {
    if (!absl::ascii_isalnum(c) &&
        !absl::StrContains("/_-.+@ ,()=:;", absl::string_view(&c, 1))) {
      return false;
    }
  }
  return !absl::StrContains(text, ": ") && text.back() != ':';
}

// "10s", "500m", "64Mi", "70%": a number with a unit stays readable.
bool IsQuantity(absl::string_view text) {
  size_t digits = 0;
  while (digits < text.size() && absl::ascii_isdigit(text[digits])) ++digits;
  const absl::string_view unit = text.substr(digits);
  for (absl::string_view known : {"ns", "us", "ms", "s", "m", "h", "k", "M",
                                  "G", "T", "Ki", "Mi", "Gi", "Ti", "%"}) {
    if (digits > 0 && unit == known) return true;
  }
  return false;
}

std::string YamlScalar(const Node& node) {
  if (!node.quoted || IsQuantity(node.text)) return node.text;
  if (IsPlainSafe(node.text) && !LooksSpecial(node.text)) return node.text;
  return Quote(node.text);
}

// Text of several lines that the literal form "|" gives back unchanged.
bool FitsLiteral(absl::string_view text) {
  if (!absl::StrContains(text, '\n') || text[0] == '\n' ||
      absl::EndsWith(text, "\n\n")) {
    return false;
  }
  for (char c : text) {
    // Other scripts are left to the quotes, which escape nothing of them.
    if (c < ' ' && c != '\n') return false;
    if (c == 0x7f) return false;
  }
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!line.empty() && (line[0] == ' ' || line.back() == ' ')) return false;
  }
  return true;
}

class YamlWriter {
 public:
  void Map(const Node& map, int indent) {
    bool first = true;
    for (const auto& [key, value] : map.entries) {
      // The first key of a list's item follows "- ".
      if (!first || !inline_) out_.append(indent, ' ');
      inline_ = false;
      first = false;
      absl::StrAppend(&out_, YamlScalar(*key), ":");
      Value(*value, indent);
    }
  }

  void Value(const Node& value, int indent) {
    if (value.IsMap() && !value.entries.empty()) {
      out_ += "\n";
      Map(value, indent + 2);
    } else if (value.IsList() && !value.items.empty()) {
      out_ += "\n";
      List(value, indent + 2);
    } else {
      out_ += " ";
      Leaf(value, indent + 2);
    }
  }

  void List(const Node& list, int indent) {
    for (const Node::Ptr& item : list.items) {
      out_.append(indent, ' ');
      out_ += "- ";
      if (item->IsMap() && !item->entries.empty()) {
        inline_ = true;
        Map(*item, indent + 2);
      } else {
        Leaf(*item, indent + 2);
      }
    }
  }

  void Leaf(const Node& node, int indent) {
    if (node.IsMap()) {
      out_ += "{}\n";
    } else if (node.IsList()) {
      out_ += "[]\n";
    } else if (node.quoted && FitsLiteral(node.text)) {
      Literal(node.text, indent);
    } else {
      absl::StrAppend(&out_, YamlScalar(node), "\n");
    }
  }

  std::string Take() { return std::move(out_); }

 private:
  void Literal(absl::string_view text, int indent) {
    const bool newline = absl::EndsWith(text, "\n");
    if (newline) text.remove_suffix(1);
    out_ += newline ? "|\n" : "|-\n";
    for (absl::string_view line : absl::StrSplit(text, '\n')) {
      if (!line.empty()) out_.append(indent, ' ');
      absl::StrAppend(&out_, line, "\n");
    }
  }

  std::string out_;
  bool inline_ = false;
};

void AppendJson(const Node& node, int indent, std::string& out) {
  const std::string margin(indent + 2, ' ');
  const char* separator = "\n";
  switch (node.kind) {
    case Node::Kind::kNull:
      out += "null";
      return;
    case Node::Kind::kScalar:
      out += node.quoted ? Quote(node.text) : node.text;
      return;
    case Node::Kind::kList:
      out += "[";
      for (const Node::Ptr& item : node.items) {
        absl::StrAppend(&out, separator, margin);
        AppendJson(*item, indent + 2, out);
        separator = ",\n";
      }
      if (!node.items.empty()) out += "\n" + std::string(indent, ' ');
      out += "]";
      return;
    case Node::Kind::kMap:
      out += "{";
      for (const auto& [key, value] : node.entries) {
        absl::StrAppend(&out, separator, margin, Quote(key->text), ": ");
        AppendJson(*value, indent + 2, out);
        separator = ",\n";
      }
      if (!node.entries.empty()) out += "\n" + std::string(indent, ' ');
      out += "}";
      return;
  }
}

}  // namespace

std::string WriteYaml(const Node& node) {
  YamlWriter writer;
  if (node.IsMap() && !node.entries.empty()) {
    writer.Map(node, 0);
  } else if (node.IsList() && !node.items.empty()) {
    writer.List(node, 0);
  } else {
    writer.Leaf(node, 0);
  }
  return writer.Take();
}

std::string WriteJson(const Node& node) {
  std::string out;
  AppendJson(node, 0, out);
  return out + "\n";
}

}  // namespace bulwark::manifest
