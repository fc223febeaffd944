#include "engine/oci/args.h"

#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::engine::oci {
namespace {

const Flag* Find(const std::vector<Flag>& flags, absl::string_view name) {
  for (const Flag& flag : flags) {
    if (name == flag.name) return &flag;
    if (name.size() == 1 && flag.letter == name[0]) return &flag;
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<Args> Args::Parse(const std::vector<std::string>& words,
                                 const std::vector<Flag>& flags, bool mixed) {
  Args args;
  for (size_t i = 0; i < words.size(); ++i) {
    absl::string_view word = words[i];
    if (word == "--") {
      args.rest_.insert(args.rest_.end(), words.begin() + i + 1, words.end());
      break;
    }
    if (word.size() < 2 || word[0] != '-') {
      if (!mixed) {
        args.rest_.insert(args.rest_.end(), words.begin() + i, words.end());
        break;
      }
      args.rest_.emplace_back(word);
      continue;
    }
    word.remove_prefix(word[1] == '-' ? 2 : 1);
    const size_t equals = word.find('=');
    const Flag* flag = Find(flags, word.substr(0, equals));
    if (flag == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("flag ", words[i], " is not known"));
    }
    std::string value = "true";
    if (equals != absl::string_view::npos) {
      value = std::string(word.substr(equals + 1));
    } else if (flag->takes_value) {
      if (i + 1 == words.size()) {
        return absl::InvalidArgumentError(
            absl::StrCat("flag ", words[i], " needs a value"));
      }
      value = words[++i];
    }
    // "--flag=false" of one that takes no value.
    if (!flag->takes_value && value == "false") {
      args.values_.erase(flag->name);
      continue;
    }
    args.values_[flag->name].push_back(std::move(value));
  }
  return args;
}

std::string Args::Get(const std::string& name,
                      const std::string& otherwise) const {
  const auto found = values_.find(name);
  return found == values_.end() ? otherwise : found->second.back();
}

const std::vector<std::string>& Args::GetAll(const std::string& name) const {
  static const auto* const kNone = new std::vector<std::string>();
  const auto found = values_.find(name);
  return found == values_.end() ? *kNone : found->second;
}

absl::StatusOr<int64_t> Args::GetInt(const std::string& name,
                                     int64_t otherwise) const {
  if (!Has(name)) return otherwise;
  int64_t number = 0;
  if (absl::SimpleAtoi(Get(name), &number)) return number;
  return absl::InvalidArgumentError(absl::StrCat(
      "flag --", name, ": \"", Get(name), "\" is not a whole number"));
}

}  // namespace bulwark::engine::oci
