// SPDX-License-Identifier: MIT
#include "devmem/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <type_traits>

namespace devmem {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

static_assert(std::is_nothrow_copy_constructible_v<Error>);

TEST(ErrorTest, SaysWhatFailedWhyAndWhatToDo) {
    const Error error(EINVAL, "bind-rx eth0", "tcp-data-split is disabled");
    EXPECT_EQ(error.code(), std::errc::invalid_argument);
    EXPECT_EQ(error.call(), "bind-rx eth0");
    EXPECT_EQ(error.extack(), "tcp-data-split is disabled");
    EXPECT_STREQ(error.what(),
                 "bind-rx eth0: Invalid argument (kernel: tcp-data-split is disabled). Turn header "
                 "split on: ethtool -G IF tcp-data-split on, or HeaderSplit");
}

TEST(ErrorTest, NoAdviceWhereNoneIsKnown) {
    EXPECT_THAT(Error(EIO, "bind-rx eth0").what(), EndsWith("Input/output error"));
    EXPECT_THAT(Error(EPERM, "close").what(), EndsWith("not permitted"));
}

TEST(ErrorTest, KernelTextChoosesTheAdvice) {
    EXPECT_THAT(Error(EEXIST, "bind-rx a", "unable to bind dmabuf to device with XDP").what(),
                HasSubstr("xdp off"));
    EXPECT_THAT(Error(EEXIST, "bind-rx a", "designated queue already memory provider bound").what(),
                HasSubstr("Another program"));
    EXPECT_THAT(Error(EOPNOTSUPP, "bind-tx a", "Driver does not support netmem TX").what(),
                HasSubstr("for a VLAN"));
    EXPECT_THAT(Error(EOPNOTSUPP, "bind-tx a").what(), HasSubstr("Linux 6.16"));
}

TEST(ErrorTest, SaysWhatToDoAboutANic) {
    EXPECT_THAT(Error(EBUSY, "set rings of a", "a queue is bound to a dmabuf").what(),
                HasSubstr("devmem restore"));
    EXPECT_THAT(Error(EBUSY, "choose queues of a").what(), HasSubstr("ethtool -l IF"));
    EXPECT_THAT(Error(EBADMSG, "read journal a, line 1").what(), HasSubstr("Nothing was changed"));
    EXPECT_THAT(Error(ENODEV, "restore a of network namespace 1").what(), HasSubstr("ip netns"));
    EXPECT_THAT(Error(EOPNOTSUPP, "set RSS table of a").what(), HasSubstr("no RSS table"));
}

TEST(ErrorTest, ThrowErrnoTakesErrno) {
    errno = ENOENT;
    try {
        throw_errno("open /dev/udmabuf");
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code().value(), ENOENT);
        EXPECT_THAT(error.what(), StartsWith("open /dev/udmabuf: No such file"));
        EXPECT_THAT(error.what(), HasSubstr("CONFIG_UDMABUF"));
    }
}

}  // namespace
}  // namespace devmem
