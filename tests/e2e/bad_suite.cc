#include "tests/e2e/bad_suite.h"

namespace bulwark::e2e {

Anchor* BadSuite::anchor_ = nullptr;

void BadSuite::OpenWithAnchor(const std::string& instance) {
  Open(instance);
  anchor_ = new Anchor(world(), busybox());
}

void BadSuite::CloseAll() {
  delete anchor_;
  anchor_ = nullptr;
  Close();
}

void BadSuite::TearDown() { EXPECT_EQ(anchor_->Check(), ""); }

void BadSuite::Delete(const std::vector<std::string>& services) {
  std::vector<std::string> args = {"delete", "service"};
  args.insert(args.end(), services.begin(), services.end());
  args.push_back("--wait");
  Ctl(args);
}

std::string BadSuite::Services() {
  return Ctl({"get", "services", "-o", "name"}).out;
}

}  // namespace bulwark::e2e
