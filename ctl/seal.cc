#include "ctl/seal.h"

#include <fcntl.h>
#include <sodium.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "ctl/errors.h"
#include "ctl/terminal.h"

namespace bulwark::ctl {
namespace {

constexpr size_t kMaxValue = size_t{500} << 10;
constexpr int64_t kMaxGenerated = 4096;
constexpr char kAlphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

Value Generate(size_t length) {
  Value value(length);
  for (size_t i = 0; i < length; ++i) {
    value.data()[i] = kAlphabet[randombytes_uniform(sizeof(kAlphabet) - 1)];
  }
  return value;
}

// To the end, or with `one_line` to the end of a line.
absl::StatusOr<Value> ReadFd(int fd, const std::string& name, bool one_line) {
  Value value(kMaxValue + 1);
  size_t have = 0;
  while (have <= kMaxValue) {
    const size_t want = one_line ? 1 : kMaxValue + 1 - have;
    const ssize_t n = read(fd, value.data() + have, want);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus("read", name);
    if (n == 0) break;
    if (one_line && value.data()[have] == '\n') break;
    have += static_cast<size_t>(n);
  }
  if (have > kMaxValue) {
    return UsageError(
        absl::StrCat("the value in ", name, " is larger than 500 KiB"));
  }
  if (one_line && have > 0 && value.data()[have - 1] == '\r') --have;
  value.Shrink(have);
  return value;
}

// Asks on the terminal, without showing what is typed.
absl::StatusOr<Value> Ask(Context& context, const char* what) {
  const int fd = context.io.in_fd();
  const absl::Cleanup newline = [&] { context.io.Err("\n"); };
  const HiddenInput hidden(fd);
  context.io.Err(absl::StrCat(what, ": "));
  return ReadFd(fd, "the terminal", true);
}

absl::StatusOr<Value> AskFor(Context& context, const ValueSource& source) {
  const char* what = source.password ? "Password" : "Value";
  ASSIGN_OR_RETURN(Value value, Ask(context, what));
  if (!source.twice) return value;
  ASSIGN_OR_RETURN(Value again, Ask(context, "The same again"));
  if (value.size() != again.size() ||
      sodium_memcmp(value.data(), again.data(), value.size()) != 0) {
    return UsageError("the two are not the same");
  }
  return value;
}

absl::StatusOr<Value> Read(Context& context, const ValueSource& source) {
  if (source.generate != 0) {
    if (!source.file.empty()) {
      return UsageError("give a file or --generate, not both");
    }
    if (source.generate < 1 || source.generate > kMaxGenerated) {
      return UsageError("--generate makes 1 to 4096 characters");
    }
    return Generate(static_cast<size_t>(source.generate));
  }
  if (source.file.empty() && context.io.in_tty()) {
    return AskFor(context, source);
  }
  if (source.file.empty() || source.file == "-") {
    return ReadFd(context.io.in_fd(), "standard input", source.password);
  }
  const UniqueFd fd(open(source.file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("open", source.file);
  return ReadFd(fd.get(), source.file, source.password);
}

}  // namespace

Value::Value(size_t capacity) : size_(capacity) {
  CHECK(sodium_init() >= 0);
  data_ = static_cast<uint8_t*>(sodium_malloc(capacity == 0 ? 1 : capacity));
  CHECK(data_ != nullptr);
}

Value::Value(Value&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

Value::~Value() { sodium_free(data_); }

absl::StatusOr<Value> ReadValue(Context& context, const ValueSource& source) {
  ASSIGN_OR_RETURN(Value value, Read(context, source));
  if (value.size() == 0) {
    return UsageError(source.password ? "the password is empty"
                                      : "the value is empty");
  }
  const bool piped = source.generate == 0 && !source.password &&
                     (source.file.empty() || source.file == "-");
  if (piped && value.EndsWithNewline()) {
    context.io.Err(
        "warning: the value ends with a newline, which is part of it; "
        "`printf %s` writes none\n");
  }
  return value;
}

absl::StatusOr<std::string> SealValue(Context& context, Value value) {
  ASSIGN_OR_RETURN(const v1::SecretsStatusResponse status,
                   context.client().SecretsStatus());
  if (status.sealed()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the secrets are sealed: ", status.message()));
  }
  if (status.public_key().size() != crypto_box_PUBLICKEYBYTES) {
    return absl::InternalError("the daemon has no key to seal values to");
  }
  std::string sealed(value.size() + crypto_box_SEALBYTES, '\0');
  crypto_box_seal(reinterpret_cast<uint8_t*>(sealed.data()), value.data(),
                  value.size(),
                  reinterpret_cast<const uint8_t*>(status.public_key().data()));
  return sealed;
}

}  // namespace bulwark::ctl
