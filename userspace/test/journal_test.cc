// SPDX-License-Identifier: MIT
#include "journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>

#include "devmem/error.h"
#include "journal_folder.h"
#include "queue_choice.h"
#include "scratch_folder.h"

namespace devmem {
namespace {

using test::ScratchFolder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Journal full_journal() {
    Journal journal{.nic = {"8a6e-boot", 4026531840, 7, "eth0", "02:00:5e:10:00:01"}};
    journal.rings = {.data_split = DataSplit::off, .hds_thresh = 200};
    journal.steering_was_off = true;
    journal.channels = {.combined = 4};
    journal.rss_table = {0, 1, 2, 3};
    journal.sessions = {
        {.id = 17,
         .queues = {3},
         .context = JournalContext{.others = {1, 2}},
         .rules = {{.flow = {.destination_port = 5201}, .queue = 3, .location = 255},
                   {.flow = {.v6 = true,
                             .source = IpAddress("2001:db8::1"),
                             .destination = IpAddress("2001:db8::2"),
                             .source_port = 1,
                             .destination_port = 2},
                    .queue = 3,
                    .others = {254, 255}}}},
        {.id = 18,
         .queues = {1, 2},
         .context = JournalContext{.id = 4},
         .rules = {{.flow = {.destination_port = 80}}}}};
    return journal;
}

constexpr const char* full_text =
    "devmem-journal 1\n"
    "boot 8a6e-boot\n"
    "netns 4026531840\n"
    "interface 7 02:00:5e:10:00:01 eth0\n"
    "tcp-data-split off\n"
    "hds-thresh 200\n"
    "steering-off\n"
    "channels - 4\n"
    "rss-table 0 1 2 3\n"
    "session 17 3\n"
    "rss-context - 1 2\n"
    "rule 3 255 tcp4 - - - 5201\n"
    "rule 3 - tcp6 2001:db8::1 1 2001:db8::2 2 254 255\n"
    "session 18 1 2\n"
    "rss-context 4\n"
    "rule - - tcp4 - - - 80\n"
    "end\n";

std::string why_malformed(const std::string& text) {
    try {
        parse_journal(text, "FILE");
        return "it is well formed";
    } catch (const Error& error) {
        EXPECT_EQ(error.code().value(), EBADMSG);
        return error.what();
    }
}

std::string replaced(const std::string& what, const std::string& by) {
    std::string text = full_text;
    return text.replace(text.find(what), what.size(), by);
}

TEST(JournalTest, ReadsWhatItWrites) {
    EXPECT_EQ(format_journal(full_journal()), full_text);
    EXPECT_EQ(parse_journal(full_text, "FILE"), full_journal());
    const Journal empty{.nic = full_journal().nic};
    EXPECT_EQ(parse_journal(format_journal(empty), "FILE"), empty);
}

TEST(JournalTest, AnyPartIsMissed) {
    const std::string text = full_text;
    for (std::size_t size = 0; size < text.size(); ++size)
        EXPECT_THROW(parse_journal(text.substr(0, size), "FILE"), Error) << size;
}

TEST(JournalTest, SaysWhichLineMakesNoSense) {
    const auto line = [](int number) {
        return HasSubstr("read journal FILE, line " + std::to_string(number));
    };
    EXPECT_THAT(why_malformed(replaced("journal 1", "journal 2")), line(1));
    EXPECT_THAT(why_malformed(replaced("4026531840", "x")), line(3));
    EXPECT_THAT(why_malformed(replaced(" eth0", "")), line(4));
    EXPECT_THAT(why_malformed(replaced("split off", "split maybe")), line(5));
    EXPECT_THAT(why_malformed(replaced("200", "4294967296")), line(6));
    EXPECT_THAT(why_malformed(replaced("200", "-1")), line(6));
    EXPECT_THAT(why_malformed(replaced("200", "200 ")), line(6));
    EXPECT_THAT(why_malformed(replaced("steering-off", "steering-up")), line(7));
    EXPECT_THAT(why_malformed(replaced("0 1 2 3", "0 1  2 3")), line(9));
    EXPECT_THAT(why_malformed(replaced("5201", "65536")), line(12));
    EXPECT_THAT(why_malformed(replaced("2001:db8::1", "eth0")), line(13));
}

// It was not written by this library, so nobody knows what was meant.
TEST(JournalTest, WhatCouldBeReadButIsNeverWritten) {
    EXPECT_THAT(why_malformed(replaced("200", "0200")), HasSubstr("line 6"));
    EXPECT_THAT(why_malformed(replaced("steering-off\n", "steering-off\nsteering-off\n")),
                HasSubstr("line 8"));
    EXPECT_THAT(why_malformed(std::string(full_text) + "end\n"), HasSubstr("line 17"));
    EXPECT_THAT(why_malformed(replaced("session 18 1 2\n", "session 18 1 2\nhds-thresh 1\n")),
                HasSubstr("line 6"));
}

TEST(JournalFolderTest, KeepsJournals) {
    const ScratchFolder scratch;
    const JournalFolder folder(scratch.path());
    const Journal journal = full_journal();
    const auto file = folder.journal_of(journal.nic);
    EXPECT_EQ(JournalFolder::load(file), std::nullopt);
    folder.save(journal);
    EXPECT_EQ(JournalFolder::load(file), journal);
    EXPECT_THAT(folder.journals(), ElementsAre(file));
    EXPECT_THAT(scratch.files(), ElementsAre("4026531840-7.journal"));
    folder.remove(journal.nic);
    folder.remove(journal.nic);
    EXPECT_THAT(scratch.files(), IsEmpty());
}

// Somebody was killed between writing and renaming.
TEST(JournalFolderTest, ADraftIsNoJournal) {
    const ScratchFolder scratch;
    const JournalFolder folder(scratch.path());
    scratch.write("4026531840-7.journal.tmp", "devmem-jour");
    EXPECT_THAT(folder.journals(), IsEmpty());
    folder.save(full_journal());
    EXPECT_THAT(scratch.files(), ElementsAre("4026531840-7.journal"));
}

TEST(JournalFolderTest, MakesAFolderForItsUserAlone) {
    const ScratchFolder scratch;
    const auto path = scratch.path() / "new";
    const JournalFolder folder(path);
    struct stat info {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0700U);
}

TEST(JournalFolderTest, TrustsNoFolderThatOthersMayWrite) {
    const ScratchFolder scratch;
    ASSERT_EQ(::chmod(scratch.path().c_str(), 0777), 0);
    EXPECT_THROW(JournalFolder{scratch.path()}, Error);
    EXPECT_THROW(JournalFolder{"/dev/null"}, Error);
    EXPECT_THROW(JournalFolder{"/nowhere/at/all"}, Error);
}

TEST(JournalFolderTest, ASessionLivesAsLongAsItsFolder) {
    const ScratchFolder scratch;
    const JournalFolder other(scratch.path());
    std::uint64_t session = 0;
    {
        const JournalFolder folder(scratch.path());
        session = folder.join();
        EXPECT_NE(folder.join(), session);
        EXPECT_TRUE(other.alive(session));
        EXPECT_FALSE(folder.alive(session));  // its own
    }
    EXPECT_FALSE(other.alive(session));
}

using Queues = std::vector<std::uint32_t>;

TEST(QueueChoiceTest, TheHighestFreeOnes) {
    EXPECT_EQ(choose_queues(1, Queues{}, 4, 8), (Queues{3}));
    EXPECT_EQ(choose_queues(2, Queues{}, 4, 8), (Queues{2, 3}));
    EXPECT_EQ(choose_queues(2, Queues{3}, 4, 8), (Queues{1, 2}));
    EXPECT_EQ(choose_queues(2, Queues{2}, 4, 8), (Queues{1, 3}));
}

TEST(QueueChoiceTest, MoreOnlyIfTheyMustBe) {
    EXPECT_EQ(choose_queues(1, Queues{}, 1, 8), (Queues{1}));
    EXPECT_EQ(choose_queues(3, Queues{3}, 4, 8), (Queues{1, 2, 4}));
    EXPECT_EQ(choose_queues(4, Queues{}, 4, 8), (Queues{1, 2, 3, 4}));
}

TEST(QueueChoiceTest, OneIsLeftForOthers) {
    EXPECT_TRUE(choose_queues(4, Queues{}, 4, 4).empty());
    EXPECT_TRUE(choose_queues(1, Queues{1, 2, 3}, 4, 4).empty());
    EXPECT_EQ(choose_queues(3, Queues{}, 4, 4), (Queues{1, 2, 3}));
    EXPECT_TRUE(choose_queues(UINT32_MAX, Queues{}, 4, 4).empty());
}

}  // namespace
}  // namespace devmem
