// Where ctl reads and writes.
#ifndef CTL_IO_H_
#define CTL_IO_H_

#include <atomic>
#include <string>

#include "absl/strings/string_view.h"

namespace bulwark::ctl {

// Standard input, output and error, and whether people are at their ends.
class Io {
 public:
  virtual ~Io() = default;

  // Write all of `text`; what cannot be written is lost.
  virtual void Out(absl::string_view text) = 0;
  virtual void Err(absl::string_view text) = 0;
  // Why something of Out() was lost, as an errno; 0 if nothing was.
  virtual int out_error() const { return 0; }

  // Descriptor of standard input.
  virtual int in_fd() const { return 0; }
  virtual bool in_tty() const { return false; }
  virtual bool out_tty() const { return false; }
  virtual bool err_tty() const { return false; }
  // Colours are wanted on standard output.
  virtual bool color() const { return false; }
  // Size of the terminal.
  virtual int columns() const { return 80; }
  virtual int rows() const { return 24; }
};

// The process's own.
class RealIo final : public Io {
 public:
  RealIo();
  void Out(absl::string_view text) override;
  void Err(absl::string_view text) override;
  int out_error() const override { return out_error_; }
  bool in_tty() const override { return in_tty_; }
  bool out_tty() const override { return out_tty_; }
  bool err_tty() const override { return err_tty_; }
  bool color() const override { return color_; }
  int columns() const override;
  int rows() const override;

 private:
  bool in_tty_, out_tty_, err_tty_, color_;
  std::atomic<int> out_error_{0};
};

// ANSI colours, 1 to 6: red, green, yellow, blue, magenta, cyan.
std::string Colored(absl::string_view text, int color);

}  // namespace bulwark::ctl

#endif  // CTL_IO_H_
