// The folder of a container's log, whatever lies in it: rotated, compressed,
// torn and damaged files of both formats. What is asked for has to be what all
// of it has in that place.
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/local/log_file.h"
#include "engine/local/log_line.h"
#include "engine/local/log_reader.h"
#include "tests/fuzz/input.h"

namespace bulwark::engine {
namespace {

// A folder for the inputs of this process, one after the other.
class Folder {
 public:
  Folder() {
    char path[] = "/dev/shm/log_reader_fuzz.XXXXXX";
    CHECK(mkdtemp(path) != nullptr);
    path_ = path;
    fd_ = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(fd_ >= 0);
  }
  ~Folder() {
    Clear();
    close(fd_);
    rmdir(path_.c_str());
  }

  const std::string& path() const { return path_; }

  void Clear() {
    for (const std::string& name : names_) unlinkat(fd_, name.c_str(), 0);
    names_.clear();
  }

  void Write(const std::string& name, const std::string& bytes) {
    const int file =
        openat(fd_, name.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(file >= 0);
    CHECK(write(file, bytes.data(), bytes.size()) ==
          static_cast<ssize_t>(bytes.size()));
    close(file);
    names_.push_back(name);
  }

 private:
  std::string path_;
  int fd_ = -1;
  std::vector<std::string> names_;
};

std::string Gzip(const std::string& text) {
  z_stream stream = {};
  CHECK(deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) ==
        Z_OK);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in =
      reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));  // only read
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// Lines as the shim writes them, or any bytes.
std::string Content(fuzz::Input& input) {
  std::string content;
  for (uint32_t lines = input.Below(6); lines > 0; --lines) {
    const uint32_t kind = input.Below(4);
    const std::string text = input.Text();
    std::string time(19, '0');
    time[8] = static_cast<char>('0' + input.Below(10));
    if (kind == 0) {
      content += time + (text.size() % 2 == 0 ? " o F " : " e P ") + text;
    } else if (kind == 1) {
      content += R"({"log":")" + text +
                 R"(\n","stream":"stderr","time":"1970-01-01T00:00:0)" +
                 time[8] + R"(.5Z"})";
    } else {
      content += text;
    }
    if (kind != 3) content += '\n';
  }
  return content;
}

// Each number once, as the writer has it; true if one may be damaged, or gone.
bool Fill(fuzz::Input& input, Folder& folder) {
  const bool gaps = input.Below(4) == 0;
  bool damaged = gaps;
  uint64_t number = 0;
  const bool old = input.Below(8) == 0;
  for (uint32_t files = input.Below(5); files > 0; --files) {
    number += 1 + (gaps ? input.Below(2) : 0);
    LogFileName name = {number, input.Below(4) == 0, false, old};
    if (old) name = {LogFileName::kNewestOld - number, false, false, true};
    std::string content = Content(input);
    const uint32_t form = old ? 0 : input.Below(4);
    name.compressed = form >= 2;
    if (name.compressed) content = Gzip(content);
    if (form == 3) {
      damaged = true;
      content.resize(input.Below(static_cast<uint32_t>(content.size())));
      if (!content.empty()) {
        content[input.Int(1) % content.size()] ^=
            static_cast<char>(input.Int(1));
      }
    }
    folder.Write(name.ToString(), content);
    LogFileName parsed;
    CHECK(ParseLogFileName(name.ToString(), &parsed));
    CHECK(parsed.ToString() == name.ToString());
  }
  return damaged;
}

std::vector<LogEntry> Read(const Folder& folder, const LogOptions& options) {
  static RealClock clock;
  const auto reader = OpenLog(
      folder.path(), options, [] { return true; }, clock);
  CHECK(reader.ok());
  std::vector<LogEntry> entries;
  for (;;) {
    absl::StatusOr<LogEntry> entry = (*reader)->Next(absl::ZeroDuration());
    if (!entry.ok()) {
      CHECK(absl::IsOutOfRange(entry.status()));
      return entries;
    }
    entries.push_back(*std::move(entry));
    CHECK(entries.size() <= 64);
  }
}

bool Same(const LogEntry& a, const LogEntry& b) {
  return a.time == b.time && a.is_stderr == b.is_stderr && a.line == b.line &&
         a.partial == b.partial;
}

bool Same(const std::vector<LogEntry>& a, const std::vector<LogEntry>& b) {
  return std::equal(
      a.begin(), a.end(), b.begin(), b.end(),
      [](const LogEntry& x, const LogEntry& y) { return Same(x, y); });
}

std::vector<LogEntry> Between(const std::vector<LogEntry>& all,
                              const LogOptions& options) {
  std::vector<LogEntry> wanted;
  for (const LogEntry& entry : all) {
    if (entry.time >= options.until) break;
    if (entry.time >= options.since) wanted.push_back(entry);
  }
  return wanted;
}

std::vector<LogEntry> Last(std::vector<LogEntry> entries, int64_t count) {
  const int64_t size = static_cast<int64_t>(entries.size());
  if (size > count) entries.erase(entries.begin(), entries.end() - count);
  return entries;
}

void Try(fuzz::Input& input) {
  static Folder folder;
  folder.Clear();
  LogOptions options;
  options.tail = input.Below(8);
  options.since = absl::FromUnixNanos(static_cast<int64_t>(input.Below(10)) *
                                      10'000'000'000);
  options.until = absl::FromUnixNanos(static_cast<int64_t>(input.Below(10)) *
                                      10'000'000'000);
  const bool damaged = Fill(input, folder);
  const std::vector<LogEntry> all = Read(folder, {});
  LogOptions followed;
  followed.follow = true;
  CHECK(Same(Read(folder, followed), all));
  LogOptions last;
  last.tail = options.tail;
  const std::vector<LogEntry> tail = Read(folder, last);
  // What tells of damage, or of files that went, is a line more.
  if (damaged) return;
  CHECK(static_cast<int64_t>(tail.size()) <= options.tail);
  CHECK(Same(tail, Last(all, static_cast<int64_t>(tail.size()))));
  CHECK(Same(Read(folder, options), Last(Between(all, options), options.tail)));
  options.tail = -1;
  CHECK(Same(Read(folder, options), Between(all, options)));
}

}  // namespace
}  // namespace bulwark::engine

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bulwark::engine;
  bulwark::fuzz::Input input(data, size);
  // Half of the inputs are one line.
  if (input.Int(1) % 2 == 0) {
    bulwark::fuzz::Input line(data + (size > 0), size - (size > 0));
    const auto entry = ParseLogLine(line.Rest());
    CHECK(entry.ok() || absl::IsDataLoss(entry.status()));
    return 0;
  }
  Try(input);
  return 0;
}
