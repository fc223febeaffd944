// Structured logs: one line per event, `message key=value ...`.
//
//   LOG_INFO("container started", {{"id", id}, {"pid", pid}});
//
// Levels by reader: ERROR and WARN want an operator's action, INFO tells an
// operator what happened, DEBUG is for developers. An error is logged once,
// where it is handled. Never log a secret: secret types have no formatter.
#ifndef BASE_LOG_H_
#define BASE_LOG_H_

#include <initializer_list>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace bulwark {

// One key and its value, formatted.
struct LogField {
  absl::string_view key;
  std::string value;

  LogField(absl::string_view k, const absl::Status& v)
      : key(k), value(v.ToString()) {}
  template <typename T>
  LogField(absl::string_view k, const T& v) : key(k), value(absl::StrCat(v)) {}
};

enum class LogLevel { kDebug, kInfo, kWarn, kError };

// Drops lines below `level`. `json` switches from text to one JSON object a
// line. Call once, at start. Thread-safe afterwards.
void InitLogging(LogLevel level, bool json);

// Writes one line to standard error. Thread-safe.
void Log(LogLevel level, absl::string_view message,
         std::initializer_list<LogField> fields = {});

}  // namespace bulwark

#define LOG_DEBUG(...) ::bulwark::Log(::bulwark::LogLevel::kDebug, __VA_ARGS__)
#define LOG_INFO(...) ::bulwark::Log(::bulwark::LogLevel::kInfo, __VA_ARGS__)
#define LOG_WARN(...) ::bulwark::Log(::bulwark::LogLevel::kWarn, __VA_ARGS__)
#define LOG_ERROR(...) ::bulwark::Log(::bulwark::LogLevel::kError, __VA_ARGS__)

#endif  // BASE_LOG_H_
