#include "ctl/io.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace bulwark::ctl {
namespace {

// 0, or the errno of what went wrong.
int WriteAll(int fd, absl::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n < 0 ? errno : EIO;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return 0;
}

winsize Size() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
      size.ws_col = 80;
      size.ws_row = 24;
    }
  }
  return size;
}

}  // namespace

RealIo::RealIo()
    : in_tty_(isatty(STDIN_FILENO) != 0),
      out_tty_(isatty(STDOUT_FILENO) != 0),
      err_tty_(isatty(STDERR_FILENO) != 0) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  color_ = out_tty_ && (no_color == nullptr || *no_color == '\0') &&
           (term == nullptr || absl::string_view(term) != "dumb");
}

void RealIo::Out(absl::string_view text) {
  if (const int error = WriteAll(STDOUT_FILENO, text)) out_error_ = error;
}
void RealIo::Err(absl::string_view text) { WriteAll(STDERR_FILENO, text); }
int RealIo::columns() const { return Size().ws_col; }
int RealIo::rows() const { return Size().ws_row; }

std::string Colored(absl::string_view text, int color) {
  return absl::StrCat("\x1b[", 30 + color, "m", text, "\x1b[0m");
}

}  // namespace bulwark::ctl
