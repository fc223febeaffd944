#include "base/kernel_names.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace bulwark {
namespace {

TEST(RlimitTest, WhenNamed_IsFound) {
  EXPECT_EQ(ParseRlimit("nofile"), RLIMIT_NOFILE);
  EXPECT_EQ(ParseRlimit("core"), RLIMIT_CORE);
  for (const char* name : {"", "NOFILE", "RLIMIT_NOFILE", "files"}) {
    EXPECT_EQ(ParseRlimit(name), std::nullopt) << name;
  }
  EXPECT_EQ(RlimitName(RLIMIT_NOFILE), "nofile");
  EXPECT_EQ(RlimitName(99), "99");
  EXPECT_NE(RlimitNames().find(", nofile, "), std::string::npos);
}

TEST(SysctlTest, WhenOfANamespace_IsTold) {
  for (const char* name :
       {"net.core.somaxconn", "net/ipv4/conf/eth0.1/forwarding",
        "fs.mqueue.msg_max", "kernel.shmmax", "kernel.sem", "kernel.msgmnb"}) {
    EXPECT_TRUE(IsNamespacedSysctl(name)) << name;
  }
}

TEST(SysctlTest, WhenOfTheHostOrNoName_IsRefused) {
  for (const char* name :
       {"", "net", "net.", "net..core", "kernel.core_pattern", "vm.swappiness",
        "kernel.shm_next_id", "kernel.hostname", "net/../kernel/core_pattern",
        "fs.mqueue", "fs.file-max", "net.core.so maxconn", "/net/core/x",
        "kernel.sem.x", "net.a\n"}) {
    EXPECT_FALSE(IsNamespacedSysctl(name)) << name;
  }
  EXPECT_FALSE(IsNamespacedSysctl("net." + std::string(300, 'a')));
}

TEST(SysctlTest, WhenAFile_SlashesWinOverDots) {
  EXPECT_EQ(SysctlPath("net.core.somaxconn"), "net/core/somaxconn");
  EXPECT_EQ(SysctlPath("net/ipv4/conf/eth0.1/x"), "net/ipv4/conf/eth0.1/x");
}

}  // namespace
}  // namespace bulwark
