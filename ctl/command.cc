#include "ctl/command.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <utility>

namespace bulwark::ctl {
namespace {

CLI::App& AddSubcommand(CLI::App& app, const std::string& name,
                        const std::string& help) {
  CLI::App& sub = *app.add_subcommand(name, help);
  sub.fallthrough();
  sub.footer("");
  return sub;
}

}  // namespace

Command::Command(CLI::App& app, Context& context, const std::string& name,
                 const std::string& help)
    : sub_(AddSubcommand(app, name, help)), context_(context) {}

Command& Command::Flag(const std::string& names, bool& value,
                       const std::string& help) {
  sub_.add_flag(names, value, help);
  return *this;
}

Command& Command::Flag(const std::string& names, int64_t& value,
                       const std::string& help) {
  sub_.add_flag(names, value, help);
  return *this;
}

Command& Command::Option(const std::string& names, std::string& value,
                         const std::string& help, Need need) {
  sub_.add_option(names, value, help)->required(need == kRequired);
  return *this;
}

Command& Command::Option(const std::string& names,
                         std::vector<std::string>& values,
                         const std::string& help, Need need) {
  sub_.add_option(names, values, help)
      ->required(need == kRequired)
      ->allow_extra_args(false);
  return *this;
}

Command& Command::Option(const std::string& names, int64_t& value,
                         const std::string& help, Need need) {
  sub_.add_option(names, value, help)->required(need == kRequired);
  return *this;
}

Command& Command::Option(const std::string& names,
                         std::optional<int64_t>& value,
                         const std::string& help) {
  sub_.add_option(names, value, help);
  return *this;
}

Command& Command::Word(const std::string& name, std::string& value,
                       const std::string& help, Need need) {
  sub_.add_option(name, value, help)->required(need == kRequired);
  return *this;
}

Command& Command::Words(const std::string& name,
                        std::vector<std::string>& values,
                        const std::string& help, Need need) {
  sub_.add_option(name, values, help)->required(need == kRequired);
  return *this;
}

Command& Command::Tail(std::vector<std::string>& values, bool flags_after) {
  context_.tails[sub_.get_name()] = {&values, flags_after};
  return *this;
}

void Command::Action(Context::Action action) {
  sub_.parse_complete_callback(
      [this_context = &context_, action = std::move(action)] {
        this_context->action = action;
      });
}

CLI::App& Command::Group() {
  sub_.require_subcommand(1);
  return sub_;
}

}  // namespace bulwark::ctl
