// Random mutations of the examples: the parser never crashes or hangs, and
// what it accepts can be printed and read again.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/entropy.h"
#include "manifest/codec.h"

namespace bulwark::manifest {
namespace {

constexpr const char* kPieces[] = {"\n",          "  ",
                                   ": ",          "- ",
                                   "[",           "]",
                                   "{",           "}",
                                   "&a ",         "*a",
                                   "<<: *a",      "\"",
                                   "'",           "|",
                                   ">",           "#",
                                   "---\n",       "...\n",
                                   "!!str ",      "? ",
                                   "\t",          ",",
                                   "${",          "}",
                                   "${A:-b}",     "$$",
                                   "\xff",        "\xc3",
                                   "null",        "~",
                                   "true",        "1e9",
                                   "-1",          "99999999999999999999",
                                   "%YAML 1.2\n", "spec:\n",
                                   "kind: Job\n", "\\u0000",
                                   "\\ud83d",     "\r\n",
                                   "\xef\xbb\xbf"};

std::vector<std::string> Corpus() {
  std::vector<std::string> corpus;
  for (const char* name : {"minimal", "web", "full"}) {
    std::ifstream in(std::string("examples/") + name + ".yaml");
    std::stringstream text;
    text << in.rdbuf();
    EXPECT_FALSE(text.str().empty()) << name;
    corpus.push_back(text.str());
  }
  return corpus;
}

std::string Mutate(std::string text, const std::vector<std::string>& corpus,
                   Entropy& entropy) {
  auto pick = [&](size_t n) { return n == 0 ? 0 : entropy.Next() % n; };
  for (size_t n = 1 + pick(6); n > 0; --n) {
    const size_t at = pick(text.size() + 1);
    switch (pick(6)) {
      case 0:
        text.insert(at, kPieces[pick(std::size(kPieces))]);
        break;
      case 1:
        text.erase(at, pick(20));
        break;
      case 2:
        if (at < text.size()) text[at] = static_cast<char>(pick(256));
        break;
      case 3: {
        const std::string& other = corpus[pick(corpus.size())];
        text.insert(at, other.substr(pick(other.size()), pick(80)));
        break;
      }
      case 4:
        text.insert(at, text.substr(pick(text.size() + 1), pick(200)));
        break;
      case 5:
        text.resize(at);
        break;
    }
  }
  return text;
}

TEST(FuzzTest, WhenMutated_NeverCrashesAndPrintsWhatItAccepts) {
  const std::vector<std::string> corpus = Corpus();
  SeededEntropy entropy(20300101);
  ParseOptions options;
  options.folder = "/srv";
  options.variables = [](absl::string_view name) {
    return name == "A" ? std::optional<std::string>("x") : std::nullopt;
  };
  int accepted = 0;
  for (int i = 0; i < 4000; ++i) {
    // Most from the small examples: they survive a mutation more often.
    std::string text = corpus[i % 8 == 0 ? 2 : i % 2];
    text = Mutate(std::move(text), corpus, entropy);
    ParseResult result = Parse(text, options);
    if (!result.ok()) {
      EXPECT_LE(result.problems.size(), 120u);
      continue;
    }
    for (const ParsedObject& parsed : result.objects) {
      ParseResult again = Parse(PrintYaml(parsed.object, {}), {});
      ASSERT_EQ(ToString(again.problems), "") << text;
      ASSERT_EQ(again.objects.size(), 1u);
      ASSERT_EQ(PrintYaml(again.objects[0].object, {}),
                PrintYaml(parsed.object, {}));
      ++accepted;
    }
  }
  EXPECT_GT(accepted, 100);
}

}  // namespace
}  // namespace bulwark::manifest
