// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devmem/devmem.h"
#include "journal_folder.h"
#include "nic_identity.h"
#include "scratch_folder.h"

namespace devmem {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

// One interface is gone; the other's journal is of a namespace that is not this one.
TEST(CRestoreTest, SaysOfEachNicWhatWasDoneAndWhatFailed) {
    const test::ScratchFolder scratch;
    {
        const JournalFolder folder(scratch.path());
        folder.save({.nic = {"earlier", netns_inode(), 5, "gone0", "02:00:00:00:00:05"}});
        folder.save({.nic = {boot_id(), netns_inode() + 1, 6, "far0", "02:00:00:00:00:06"}});
    }
    devmem_restored* restored = nullptr;
    ASSERT_EQ(devmem_restore_abandoned(scratch.path().c_str(), &restored, nullptr), 0);
    ASSERT_EQ(devmem_restored_count(restored), 2U);
    EXPECT_EQ(devmem_restored_get(restored, 2), nullptr);
    const devmem_restored_nic* gone = devmem_restored_get(restored, 0);
    const devmem_restored_nic* far = devmem_restored_get(restored, 1);
    if (std::string(gone->interface) == "far0") std::swap(gone, far);

    EXPECT_STREQ(gone->interface, "gone0");
    EXPECT_THAT(gone->journal, EndsWith(".journal"));
    EXPECT_STREQ(gone->done[0], "nothing: the interface is gone");
    EXPECT_EQ(gone->done[1], nullptr);
    EXPECT_EQ(gone->failed[0], nullptr);

    EXPECT_STREQ(far->interface, "far0");
    EXPECT_EQ(far->done[0], nullptr);
    EXPECT_THAT(far->failed[0], HasSubstr("network namespace"));
    EXPECT_EQ(far->failed[1], nullptr);
    devmem_restored_free(restored);
    EXPECT_EQ(scratch.files().size(), 1U);
}

}  // namespace
}  // namespace devmem
