#include "engine/local/log_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"

namespace bulwark::engine {
namespace {

constexpr size_t kBlock = 64 << 10;

class PlainFile final : public LogFile {
 public:
  PlainFile(LogFileName name, UniqueFd fd) : LogFile(name, std::move(fd)) {}

  absl::StatusOr<size_t> Read(std::string* out) override {
    const size_t old = out->size();
    out->resize(old + kBlock);
    const ssize_t n = pread(fd_.get(), out->data() + old, kBlock, offset_);
    out->resize(old + std::max<ssize_t>(0, n));
    if (n < 0) return ErrnoStatus("read", name_.ToString());
    offset_ += n;
    return static_cast<size_t>(n);
  }

  absl::Status SkipToLast(int64_t* lines) override {
    struct stat st;
    if (fstat(fd_.get(), &st) != 0) {
      return ErrnoStatus("read", name_.ToString());
    }
    offset_ = *lines == 0 ? st.st_size : SeekLines(st.st_size, lines);
    return absl::OkStatus();
  }

 private:
  // Offset of the line that starts the last `*lines` lines of the file;
  // subtracts from `*lines` those that it has.
  int64_t SeekLines(int64_t size, int64_t* lines) {
    std::string block(kBlock, '\0');
    int64_t end = size;
    while (end > 0) {
      const int64_t begin = std::max<int64_t>(0, end - kBlock);
      const ssize_t n = pread(fd_.get(), block.data(), end - begin, begin);
      if (n <= 0) break;
      for (int64_t i = n - 1; i >= 0; --i) {
        // The newline at the very end closes the last line.
        if (block[i] != '\n' || begin + i + 1 == size) continue;
        if (--*lines == 0) return begin + i + 1;
      }
      end = begin;
    }
    if (size > 0) --*lines;
    return 0;
  }

  int64_t offset_ = 0;
};

class GzipFile final : public LogFile {
 public:
  GzipFile(LogFileName name, UniqueFd fd, gzFile file)
      : LogFile(name, std::move(fd)), file_(file) {}
  ~GzipFile() override { gzclose(file_); }

  absl::StatusOr<size_t> Read(std::string* out) override {
    while (skip_ > 0) {
      std::string block;
      ASSIGN_OR_RETURN(const size_t n, ReadBlock(&block));
      if (n == 0) return size_t{0};
      const size_t after = Skip(block);
      if (after == block.size()) continue;
      out->append(block, after);
      return block.size() - after;
    }
    return ReadBlock(out);
  }

  // There is no way back in it: it is read twice.
  absl::Status SkipToLast(int64_t* lines) override {
    int64_t count = 0;
    std::string block;
    absl::StatusOr<size_t> n = size_t{0};
    do {
      block.clear();
      n = ReadBlock(&block);
      count += std::count(block.begin(), block.end(), '\n');
    } while (n.ok() && *n > 0);
    // A damaged one has the lines that are before the damage.
    if (gzrewind(file_) != 0) {
      return absl::DataLossError(
          absl::StrCat("read ", name_.ToString(), ": it is damaged"));
    }
    const int64_t taken = std::min(count, *lines);
    skip_ = count - taken;
    *lines -= taken;
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<size_t> ReadBlock(std::string* out) {
    const size_t old = out->size();
    out->resize(old + kBlock);
    const int n = gzread(file_, out->data() + old, kBlock);
    out->resize(old + std::max(0, n));
    int error = Z_OK;
    gzerror(file_, &error);
    // An end before its time comes with the last bytes.
    if (n > 0) return static_cast<size_t>(n);
    if (n < 0 || error != Z_OK) {
      return absl::DataLossError(
          absl::StrCat("read ", name_.ToString(), ": it is damaged"));
    }
    return size_t{0};
  }

  // Where in `block` the lines to skip end.
  size_t Skip(const std::string& block) {
    size_t at = 0;
    while (skip_ > 0) {
      const size_t newline = block.find('\n', at);
      if (newline == std::string::npos) return block.size();
      at = newline + 1;
      --skip_;
    }
    return at;
  }

  const gzFile file_;
  int64_t skip_ = 0;  // lines
};

}  // namespace

std::string LogFileName::ToString() const {
  if (old) {
    return number == kNewestOld ? "log"
                                : absl::StrCat("log.", kNewestOld - number);
  }
  return absl::StrCat("log-", number, json ? ".json" : "",
                      compressed ? ".gz" : "");
}

bool ParseLogFileName(absl::string_view text, LogFileName* name) {
  name->number = LogFileName::kNewestOld;
  name->old = text == "log" || absl::StartsWith(text, "log.");
  if (text == "log") return true;
  if (absl::ConsumePrefix(&text, "log.")) {
    uint32_t age = 0;
    if (text.size() > 6 || !absl::SimpleAtoi(text, &age)) return false;
    name->number -= age;
    return age > 0;
  }
  if (!absl::ConsumePrefix(&text, "log-")) return false;
  name->compressed = absl::ConsumeSuffix(&text, ".gz");
  name->json = absl::ConsumeSuffix(&text, ".json");
  return !text.empty() && text.size() < 20 && absl::ascii_isdigit(text[0]) &&
         absl::SimpleAtoi(text, &name->number);
}

absl::StatusOr<std::vector<LogFileName>> ListLogFiles(int dir) {
  const int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return ErrnoStatus("list", "log");
  DIR* entries = fdopendir(copy);
  if (entries == nullptr) {
    close(copy);
    return ErrnoStatus("list", "log");
  }
  std::vector<LogFileName> names;
  while (const dirent* entry = readdir(entries)) {
    LogFileName name;
    if (ParseLogFileName(entry->d_name, &name)) names.push_back(name);
  }
  closedir(entries);
  std::sort(names.begin(), names.end(),
            [](const LogFileName& a, const LogFileName& b) {
              return std::pair(a.number, a.compressed) <
                     std::pair(b.number, b.compressed);
            });
  names.erase(std::unique(names.begin(), names.end(),
                          [](const LogFileName& a, const LogFileName& b) {
                            return a.number == b.number;
                          }),
              names.end());
  return names;
}

absl::StatusOr<std::unique_ptr<LogFile>> LogFile::Open(int dir,
                                                       LogFileName name) {
  for (int tries = 0; tries < 2; ++tries) {
    UniqueFd fd(openat(dir, name.ToString().c_str(),
                       O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd.ok() && errno != ENOENT) {
      return ErrnoStatus("open", name.ToString());
    }
    if (!fd.ok() && name.compressed) break;
    if (!fd.ok()) {  // compressed since it was listed
      name.compressed = true;
      continue;
    }
    if (!name.compressed) {
      return std::make_unique<PlainFile>(name, std::move(fd));
    }
    const int copy = fcntl(fd.get(), F_DUPFD_CLOEXEC, 0);
    const gzFile file = copy < 0 ? nullptr : gzdopen(copy, "rb");
    if (file == nullptr) {
      if (copy >= 0) close(copy);
      return ErrnoStatus("open", name.ToString());
    }
    return std::make_unique<GzipFile>(name, std::move(fd), file);
  }
  return absl::NotFoundError(
      absl::StrCat("open ", name.ToString(), ": it has gone"));
}

absl::Time LogFile::last_write() const {
  struct stat st;
  if (fstat(fd_.get(), &st) != 0) return absl::InfiniteFuture();
  return absl::TimeFromTimespec(st.st_mtim);
}

bool LogFile::IsAt(int dir, const LogFileName& name) const {
  struct stat mine, other;
  return fstat(fd_.get(), &mine) == 0 &&
         fstatat(dir, name.ToString().c_str(), &other, AT_SYMLINK_NOFOLLOW) ==
             0 &&
         mine.st_ino == other.st_ino;
}

bool LogFile::is_gone() const {
  struct stat st;
  return fstat(fd_.get(), &st) != 0 || st.st_nlink == 0;
}

}  // namespace bulwark::engine
