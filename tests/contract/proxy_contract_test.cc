// The contract of lb::Proxy, over the fake and over the real data plane.
#include "tests/contract/proxy_contract.h"

#include <gtest/gtest.h>

#include <memory>

#include "lb/fake/fake_proxy.h"
#include "lb/local/testing.h"

namespace bulwark::lb {
namespace {

INSTANTIATE_TEST_SUITE_P(Fake, ProxyContractTest,
                         ::testing::Values(ProxyUnderTest{
                             "Fake",
                             [](std::shared_ptr<void>& keep) -> Proxy* {
                               auto fake = std::make_shared<FakeProxy>();
                               keep = fake;
                               return fake.get();
                             }}),
                         [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(Local, ProxyContractTest,
                         ::testing::Values(ProxyUnderTest{
                             "Local",
                             [](std::shared_ptr<void>& keep) -> Proxy* {
                               auto installation =
                                   std::make_shared<testing::Installation>();
                               keep = installation;
                               return &installation->proxy();
                             }}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace bulwark::lb

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (!bulwark::lb::testing::EnterOwnNamespaces()) return 1;
  return RUN_ALL_TESTS();
}
