#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>

#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"

namespace bulwark {
namespace {

std::atomic<bool> g_json = false;

spdlog::level::level_enum Level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

spdlog::logger& Logger() {
  static spdlog::logger& logger = *[] {
    auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    auto* made = new spdlog::logger("bulwark", sink);
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %L %v",
                      spdlog::pattern_time_type::utc);
    return made;
  }();
  return logger;
}

std::string Quoted(absl::string_view text) {
  std::string out = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c < 0x20) {
      absl::StrAppendFormat(&out, "\\u%04x", c);
    } else {
      out += static_cast<char>(c);
    }
  }
  return out + "\"";
}

bool NeedsQuotes(absl::string_view text) {
  return text.empty() ||
         text.find_first_of(" \"=\n\t\\") != absl::string_view::npos;
}

}  // namespace

void InitLogging(LogLevel level, bool json) {
  g_json = json;
  spdlog::logger& logger = Logger();
  logger.set_level(Level(level));
  if (json) {
    logger.set_pattern(
        "{\"time\":\"%Y-%m-%dT%H:%M:%S.%eZ\",\"level\":\"%l\",%v}",
        spdlog::pattern_time_type::utc);
  }
}

void Log(LogLevel level, absl::string_view message,
         std::initializer_list<LogField> fields) {
  spdlog::logger& logger = Logger();
  if (!logger.should_log(Level(level))) return;
  std::string line;
  if (g_json) {
    line = absl::StrCat("\"message\":", Quoted(message));
    for (const LogField& f : fields) {
      absl::StrAppend(&line, ",", Quoted(f.key), ":", Quoted(f.value));
    }
  } else {
    line = std::string(message);
    for (const LogField& f : fields) {
      absl::StrAppend(&line, " ", f.key, "=",
                      NeedsQuotes(f.value) ? Quoted(f.value) : f.value);
    }
  }
  logger.log(Level(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace bulwark
