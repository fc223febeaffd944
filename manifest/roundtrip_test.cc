// parse(print(x)) == x, for random objects of every kind.
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "base/entropy.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "manifest/codec.h"
#include "manifest/kinds.h"
#include "proto/bulwark/v1/options.pb.h"

namespace bulwark::manifest {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using google::protobuf::util::MessageDifferencer;

// Text that has broken YAML writers.
constexpr const char* kTexts[] = {"",
                                  " ",
                                  "a",
                                  "true",
                                  "null",
                                  "~",
                                  "1",
                                  "0644",
                                  "1e3",
                                  ".5",
                                  "-",
                                  "- a",
                                  "a: b",
                                  "a #b",
                                  "#",
                                  "'",
                                  "\"",
                                  "\\",
                                  "\n",
                                  "a\n",
                                  "a\n\nb\n",
                                  "a\n\n",
                                  "\na",
                                  " a\nb",
                                  "a \nb",
                                  "\ta\n",
                                  "a\tb",
                                  "é",
                                  "😀\n",
                                  "\x7f",
                                  "\x01",
                                  "%",
                                  "@x",
                                  "`",
                                  "!x",
                                  "&x",
                                  "*x",
                                  "|",
                                  ">",
                                  "{",
                                  "}",
                                  "[",
                                  "]",
                                  ",",
                                  "?",
                                  "? a",
                                  ":",
                                  "a:",
                                  "---",
                                  "...",
                                  "--- a\nb",
                                  "<<",
                                  "=",
                                  "$",
                                  "${X}",
                                  "$$",
                                  "2030-01-01",
                                  "1:30",
                                  "base64:",
                                  "base64:AAAA",
                                  "0x1f",
                                  "yes",
                                  "No",
                                  "y",
                                  "10s",
                                  "50%",
                                  "a\r\nb",
                                  "\xee\x80\x80",
                                  "x\n---\ny\n",
                                  "\xc2\x85",
                                  "\xe2\x80\xa8",
                                  "\xef\xbb\xbf"};

class Generator {
 public:
  explicit Generator(uint64_t seed) : entropy_(seed) {}

  void Fill(Message& message, int depth) {
    if (message.GetDescriptor() == google::protobuf::Duration::descriptor()) {
      auto& d = static_cast<google::protobuf::Duration&>(message);
      d.set_seconds(Pick(3) == 0 ? Pick(100000) : Pick(100));
      d.set_nanos(Pick(2) == 0 ? 0 : Pick(1000000000));
      return;
    }
    if (message.GetDescriptor() == google::protobuf::Timestamp::descriptor()) {
      auto& t = static_cast<google::protobuf::Timestamp&>(message);
      t.set_seconds(Pick(4000000000));
      t.set_nanos(Pick(2) == 0 ? 0 : Pick(1000000000));
      return;
    }
    for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
      const FieldDescriptor& field = *message.GetDescriptor()->field(i);
      if (field.is_repeated()) {
        const int count = Pick(4) + (Required(field) ? 1 : 0);
        for (int n = 0; n < count; ++n) Set(message, field, depth);
      } else if (Required(field) || Pick(3) != 0) {
        Set(message, field, depth);
      }
    }
  }

 private:
  static bool Required(const FieldDescriptor& field) {
    return field.options().GetExtension(v1::required);
  }

  uint64_t Pick(uint64_t n) { return entropy_.Next() % n; }

  std::string Text(bool filled) {
    std::string out;
    do {
      out = kTexts[Pick(std::size(kTexts))];
      if (Pick(4) == 0) out += kTexts[Pick(std::size(kTexts))];
    } while (filled && out.empty());
    return out;
  }

  int64_t Number(const FieldDescriptor& field) {
    switch (field.options().GetExtension(v1::format)) {
      case v1::BYTES:
        return Pick(int64_t{1} << (1 + Pick(50)));
      case v1::MILLICORES:
        return Pick(100000000);
      case v1::PERCENT:
        return Pick(1001);
      case v1::FILE_MODE:
        return Pick(010000);
      default:
        return Required(field) + Pick(int64_t{1} << (1 + Pick(30)));
    }
  }

#define STORE(Type, value)                                     \
  field.is_repeated() ? r.Add##Type(&message, &field, (value)) \
                      : r.Set##Type(&message, &field, (value))
  void Set(Message& message, const FieldDescriptor& field, int depth) {
    const Reflection& r = *message.GetReflection();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return STORE(Int32, static_cast<int32_t>(Number(field)));
      case FieldDescriptor::CPPTYPE_UINT32:
        return STORE(UInt32, static_cast<uint32_t>(Number(field)));
      case FieldDescriptor::CPPTYPE_INT64:
        return STORE(Int64, Number(field));
      case FieldDescriptor::CPPTYPE_UINT64:
        return STORE(UInt64, entropy_.Next());
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return STORE(Double, static_cast<double>(Pick(1 << 30)) / 7);
      case FieldDescriptor::CPPTYPE_BOOL:
        return STORE(Bool, Pick(2) == 0);
      case FieldDescriptor::CPPTYPE_ENUM:
        return STORE(EnumValue, 1 + Pick(field.enum_type()->value_count() - 1));
      case FieldDescriptor::CPPTYPE_STRING:
        if (field.type() == FieldDescriptor::TYPE_BYTES && Pick(2) == 0) {
          std::string bytes;
          for (uint64_t n = Pick(9); n > 0; --n) bytes.push_back(Pick(256));
          return STORE(String, bytes);
        }
        return STORE(String, Text(Required(field)));
      case FieldDescriptor::CPPTYPE_MESSAGE:
        if (field.is_map()) return SetEntry(message, field);
        return Fill(field.is_repeated() ? *r.AddMessage(&message, &field)
                                        : *r.MutableMessage(&message, &field),
                    depth + 1);
      default:
        FAIL() << field.full_name();
    }
  }

  // Keys of a map are unique: reflection would keep both.
  void SetEntry(Message& message, const FieldDescriptor& field) {
    Message& entry = *message.GetReflection()->AddMessage(&message, &field);
    entry.GetReflection()->SetString(
        &entry, entry.GetDescriptor()->FindFieldByNumber(1),
        absl::StrCat(Text(false), "#", ++keys_));
    entry.GetReflection()->SetString(
        &entry, entry.GetDescriptor()->FindFieldByNumber(2), Text(false));
  }

  SeededEntropy entropy_;
  int keys_ = 0;
};

TEST(RoundTripTest, WhenPrintedAndParsed_IsTheSameObject) {
  for (const Kind& kind : AllKinds()) {
    for (uint64_t seed = 1; seed <= 60; ++seed) {
      v1::Object object;
      Generator(seed).Fill(*MutableInner(kind, object), 0);
      ParseOptions options;
      options.server_fields = true;
      PrintOptions print;
      if (seed % 2 == 0) {
        print.escape_variables = true;
        options.variables = [](absl::string_view) { return "wrong"; };
      }
      for (bool json : {false, true}) {
        const std::string text =
            json ? PrintJson(object, print) : PrintYaml(object, print);
        ParseResult result = Parse(text, options);
        ASSERT_EQ(ToString(result.problems), "")
            << kind.name << " seed " << seed << "\n"
            << text;
        ASSERT_EQ(result.objects.size(), 1u);
        MessageDifferencer differ;
        std::string difference;
        differ.ReportDifferencesToString(&difference);
        ASSERT_TRUE(differ.Compare(object, result.objects[0].object))
            << kind.name << " seed " << seed << "\n"
            << difference << text;
      }
    }
  }
}

TEST(RoundTripTest, WhenSeveral_SeparatesDocuments) {
  std::vector<v1::Object> objects(2);
  objects[0].mutable_volume()->mutable_metadata()->set_name("a");
  objects[1].mutable_volume()->mutable_metadata()->set_name("b");
  EXPECT_EQ(Parse(PrintYaml(objects, {}), {}).objects.size(), 2u);
  EXPECT_EQ(Parse(PrintJson(objects, {}), {}).objects.size(), 2u);
}

}  // namespace
}  // namespace bulwark::manifest
