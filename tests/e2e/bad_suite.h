// A suite of bad things beside a good service.
#ifndef TESTS_E2E_BAD_SUITE_H_
#define TESTS_E2E_BAD_SUITE_H_

#include <memory>
#include <string>

#include "tests/e2e/anchor.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {

// After each test the anchor is unharmed; after the last nothing is left.
class BadSuite : public Suite {
 protected:
  static void OpenWithAnchor(const std::string& instance);
  static void CloseAll();

  void TearDown() override;

  // Deletes the services, and waits until they are gone.
  static void Delete(const std::vector<std::string>& services);
  // "service/anchor" and whatever else is declared, one a line.
  static std::string Services();

  static Anchor& anchor() { return *anchor_; }

 private:
  static Anchor* anchor_;
};

}  // namespace bulwark::e2e

#endif  // TESTS_E2E_BAD_SUITE_H_
