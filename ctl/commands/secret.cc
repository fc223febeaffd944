// ctl secret: values that containers read as files in memory. A value never
// stands on the command line, where others see it.
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/message_form.h"
#include "ctl/objects.h"
#include "ctl/print/text.h"
#include "ctl/seal.h"
#include "ctl/versions.h"

namespace bulwark::ctl {
namespace {

struct Flags {
  std::string name;
  std::string from;  // "-"
  std::string output;
  std::vector<std::string> labels;
  ValueSource source;
};

absl::StatusOr<int> Set(Context& context, const Flags& flags,
                        v1::SetSecretRequest::Mode mode) {
  ValueSource source = flags.source;
  if (!flags.from.empty()) {
    if (flags.from != "-") {
      return UsageError(
          "a value does not stand on the command line, where others see it; "
          "give --from-file FILE, or - for standard input");
    }
    if (!source.file.empty()) return UsageError("give one source of the value");
    source.file = "-";
  }
  ASSIGN_OR_RETURN(const std::string name, NameOfKind(flags.name, "secret"));
  ASSIGN_OR_RETURN(auto labels, ParseLabels(flags.labels));
  ASSIGN_OR_RETURN(Value value, ReadValue(context, source));
  v1::SetSecretRequest request;
  request.set_project(context.ProjectOrDefault());
  request.set_name(name);
  request.set_mode(mode);
  request.mutable_labels()->insert(labels.begin(), labels.end());
  ASSIGN_OR_RETURN(*request.mutable_sealed_value(),
                   SealValue(context, std::move(value)));
  ASSIGN_OR_RETURN(const v1::SetSecretResponse response,
                   context.client().SetSecret(request));
  const int64_t version = response.secret().status().version();
  // A set may change labels alone, and so leave version 1.
  const bool created = mode == v1::SetSecretRequest::CREATE;
  context.io.Out(absl::StrCat("secret ", name, " ",
                              !response.changed() ? "unchanged"
                              : created           ? "created"
                                                  : "changed",
                              " (version ", version, ")\n"));
  return kExitOk;
}

absl::StatusOr<int> Rotate(Context& context) {
  ASSIGN_OR_RETURN(const v1::RotateKeyResponse response,
                   context.client().RotateKey());
  context.io.Out(absl::StrCat("master key ", response.key_version(), " wraps ",
                              response.rewrapped(), " values\n"));
  return kExitOk;
}

absl::StatusOr<int> Unseal(Context& context) {
  RETURN_IF_ERROR(context.client().Unseal().status());
  context.io.Out("the secrets are unsealed\n");
  return kExitOk;
}

absl::StatusOr<int> Status(Context& context, const std::string& output) {
  RETURN_IF_ERROR(CheckMessageForm(output));
  ASSIGN_OR_RETURN(const v1::SecretsStatusResponse status,
                   context.client().SecretsStatus());
  const int code = status.sealed() ? kExitError : kExitOk;
  if (PrintMessage(context, status, output)) return code;
  if (status.sealed()) {
    context.io.Out(absl::StrCat("sealed: ", status.message(), "\n"));
  } else {
    context.io.Out(absl::StrCat("master key ", status.key_version(), ", made ",
                                FormatTimestamp(status.key_time()), "\n"));
    if (!status.message().empty()) {
      context.io.Err(absl::StrCat(
          "warning: after the next start of bulwarkd nothing could be read: ",
          status.message(), "\n"));
    }
  }
  context.io.Out(
      absl::StrCat(status.values(), " values",
                   status.values_of_older_keys() == 0
                       ? ""
                       : absl::StrCat(", ", status.values_of_older_keys(),
                                      " of them wrapped by older keys"),
                   "\n"));
  return code;
}

void AddSetter(CLI::App& group, Context& context, const char* verb,
               const char* help, v1::SetSecretRequest::Mode mode) {
  auto flags = std::make_shared<Flags>();
  Command(group, context, verb, help)
      .Word("NAME", flags->name, "The secret", Command::kRequired)
      .Word("SOURCE", flags->from, "- reads the value from standard input")
      .Option("-f,--from-file", flags->source.file,
              "Read the value from a file; - for standard input")
      .Flag("--generate{32}", flags->source.generate,
            "Make a random value of 32, or --generate=LENGTH, letters and "
            "digits")
      .Option("-l,--label", flags->labels, "KEY=VALUE labels")
      .Action([flags, mode](Context& c) { return Set(c, *flags, mode); });
}

}  // namespace

void AddSecret(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  CLI::App& group =
      Command(app, context, "secret",
              "Keep values that containers read as files in memory")
          .Group();
  AddSetter(group, context, "create", "Make a secret",
            v1::SetSecretRequest::CREATE);
  AddSetter(group, context, "set", "Give a secret a new value",
            v1::SetSecretRequest::UPDATE);
  AddVersionCommands(group, context, "secret");
  Command(group, context, "rotate-key",
          "Make a new master key, and wrap every secret's key with it")
      .Action([](Context& c) { return Rotate(c); });
  Command(group, context, "unseal",
          "Read the key file again, after it was put right")
      .Action([](Context& c) { return Unseal(c); });
  Command(group, context, "status",
          "Say which master key is in force, or why secrets are sealed")
      .Option("-o,--output", flags->output, kMessageForms)
      .Action([flags](Context& c) { return Status(c, flags->output); });
}

}  // namespace bulwark::ctl
