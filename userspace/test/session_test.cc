// SPDX-License-Identifier: MIT
// Sessions on a model of a NIC: what they change, what they put back, and what is put back for
// those that were killed, whenever that was.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "fake_nic.h"
#include "hooked_nic.h"
#include "restore.h"
#include "scratch_folder.h"
#include "session_core.h"

namespace devmem {
namespace {

using test::FakeNic;
using test::FakeNicState;
using test::FakeRule;
using test::HookedNic;
using test::ScratchFolder;
using test::SharedNic;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class SessionTest : public testing::Test {
  protected:
    using Hook = HookedNic::Hook;

    [[nodiscard]] NicOptions options(NicOptions options = {}) const {
        options.journals = scratch.path();
        return options;
    }
    [[nodiscard]] std::unique_ptr<Nic> hooked(const Hook& hook) const {
        return std::make_unique<HookedNic>(std::make_unique<FakeNic>(*nic), hook);
    }
    [[nodiscard]] std::unique_ptr<SessionCore> session(const NicOptions& wanted = {}) const {
        return std::make_unique<SessionCore>(std::make_unique<FakeNic>(*nic), options(wanted));
    }
    std::vector<Restored> restore(const Hook& hook = [](const char*) {}) const {
        return restore_abandoned(scratch.path(), [&](std::uint32_t) { return hooked(hook); });
    }

    // Ends the process at the nth call, as kill -9 would.
    static Hook killer(int n) {
        return [n](const char*) mutable {
            if (n-- == 0) ::kill(::getpid(), SIGKILL);
        };
    }
    // True if body() was killed.
    template <class Body>
    static bool killed(Body body) {
        const pid_t child = ::fork();
        if (child == 0) {
            body();
            ::_exit(0);
        }
        int status = 0;
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_TRUE(status == 0 || status == SIGKILL) << status;
        return status == SIGKILL;
    }
    // A life in which all there is to change is changed.
    void live(const Hook& hook) const {
        SessionCore core(hooked(hook), options({.queues = 4, .flows = flows_to_port(5201)}));
        core.steer({.source_port = 7}, 4);
        core.restore();
    }

    void expect_as_before() const {
        EXPECT_TRUE(*nic == before);
        EXPECT_THAT(scratch.files(), IsEmpty());
    }

    ScratchFolder scratch;
    SharedNic nic;
    FakeNicState before = *nic;
};

TEST_F(SessionTest, MakesTheNicReadyAndPutsItBack) {
    {
        const auto core = session({.queues = 2, .flows = flows_to_port(5201)});
        EXPECT_THAT(core->queues(), ElementsAre(2, 3));
        EXPECT_EQ(nic->split, DataSplit::on);
        EXPECT_EQ(nic->hds_thresh, 0U);
        EXPECT_EQ(nic->queues, 4U);
        EXPECT_THAT(nic->table, testing::Each(testing::Lt(2U)));
        EXPECT_EQ(nic->rules[0], (FakeRule{{.destination_port = 5201}, {2}}));
        EXPECT_EQ(nic->rules[1], (FakeRule{{.v6 = true, .destination_port = 5201}, {3}}));
        EXPECT_THAT(scratch.files(), SizeIs(1));
    }
    expect_as_before();
}

TEST_F(SessionTest, WhatIsRightAlreadyIsNotTouched) {
    nic->split = DataSplit::on;
    nic->hds_thresh = 0;
    nic->steers = true;
    nic->table.fill(1);
    nic->table_was_set = true;
    before = *nic;
    const auto refuse = [](const char* change) { FAIL() << change; };
    SessionCore core(hooked(refuse), options());
    core.restore();
    expect_as_before();
}

TEST_F(SessionTest, ATableThatWasSetIsPutBackAsItWas) {
    nic->table = {3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0};
    nic->table_was_set = true;
    before = *nic;
    session().reset();
    expect_as_before();
}

TEST_F(SessionTest, MoreChannelsOnlyForAsLongAsNeeded) {
    for (const bool combined : {true, false}) {
        nic->combined = before.combined = combined;
        {
            const auto core = session({.queues = 5});
            EXPECT_THAT(core->queues(), ElementsAre(1, 2, 3, 4, 5));
            EXPECT_EQ(nic->queues, 6U);
            EXPECT_THAT(nic->table, testing::Each(0U));
        }
        expect_as_before();
    }
}

TEST_F(SessionTest, QueuesThatAreAskedFor) {
    EXPECT_THAT(session({.exactly = {5, 1}})->queues(), ElementsAre(1, 5));
    EXPECT_THROW((void)session({.exactly = {8}}), Error);
    EXPECT_THROW((void)session({.exactly = {0, 1, 2, 3}}), Error);
    nic->bound[1] = before.bound[1] = true;
    EXPECT_THROW((void)session({.exactly = {1}}), Error);
    nic->bound[1] = before.bound[1] = false;
    expect_as_before();
}

TEST_F(SessionTest, SteersToEachQueueInTurnOrWhereItIsTold) {
    const auto core = session({.queues = 2});
    for (const std::uint16_t port : {1, 2, 3}) core->steer({.source_port = port}, {});
    core->steer({.source_port = 4}, 3);
    EXPECT_EQ(nic->rules[0]->to, RuleTarget{2});
    EXPECT_EQ(nic->rules[1]->to, RuleTarget{3});
    EXPECT_EQ(nic->rules[2]->to, RuleTarget{2});
    EXPECT_EQ(nic->rules[3]->to, RuleTarget{3});
    EXPECT_THROW(core->steer({.source_port = 5}, 0), Error);
    EXPECT_THROW(core->steer({.source_port = 6}, {}), Error);  // the table is full
    core->restore();
    expect_as_before();
}

// One that somebody else made stays, also if its queues look like the session's.
TEST_F(SessionTest, AnRssContextWhereTheNicHasThem) {
    nic->most_contexts = 3;
    nic->contexts[0].fill(3);
    before = *nic;
    for (const std::uint32_t queues : {1, 2}) {
        const auto core = session({.queues = queues, .flows = flows_to_port(5201)});
        core->steer({.source_port = 1}, 3);
        EXPECT_EQ(nic->contexts[1][0], queues == 1 ? 0U : 2U);
        EXPECT_EQ(nic->contexts[1][1], queues == 1 ? 0U : 3U);
        const RuleTarget to = queues == 1 ? RuleTarget{3} : RuleTarget{.rss_context = 2};
        EXPECT_EQ(nic->rules[0], (FakeRule{{.destination_port = 5201}, to}));
        EXPECT_EQ(nic->rules[1], (FakeRule{{.v6 = true, .destination_port = 5201}, to}));
        EXPECT_EQ(nic->rules[2], (FakeRule{{.source_port = 1}, {3}}));
        core->restore();
        expect_as_before();
    }
}

TEST_F(SessionTest, ARefusalLeavesTheNicAsItWas) {
    for (const std::string_view refused :
         {"set_rings", "set_channels", "set_rss_table", "set_steers", "add_rule"}) {
        bool first = true;
        const auto refuse = [&](std::string_view change) {
            if (change == refused && std::exchange(first, false))
                throw Error(EOPNOTSUPP, std::string(change) + " of fake0", "not today");
        };
        try {
            const SessionCore core(hooked(refuse),
                                   options({.queues = 4, .flows = {{.destination_port = 1}}}));
            ADD_FAILURE() << refused;
        } catch (const Error& error) {
            EXPECT_EQ(error.extack(), "not today");
            EXPECT_EQ(error.call(), std::string(refused) + " of fake0");
        }
        expect_as_before();
    }
}

// What the kernel refuses to put back can be put back later.
TEST_F(SessionTest, ABindingThatOutlivesTheSession) {
    auto core = session({.flows = {{.destination_port = 1}}});
    nic->bound[3] = true;
    EXPECT_THROW(core->restore(), Error);
    core.reset();
    EXPECT_EQ(nic->rules, before.rules);
    EXPECT_EQ(nic->table, before.table);
    EXPECT_EQ(nic->split, DataSplit::on);
    const auto reports = restore();
    ASSERT_THAT(reports, SizeIs(1));
    EXPECT_THAT(reports[0].failed, ElementsAre(HasSubstr("bound to a dmabuf")));
    nic->bound[3] = false;
    EXPECT_THAT(restore()[0].done, ElementsAre("header split"));
    expect_as_before();
}

TEST_F(SessionTest, TwoSessionsInEitherOrder) {
    nic->most_queues = before.most_queues = 4;
    for (const bool first_leaves_first : {true, false}) {
        auto first = session({.flows = {{.destination_port = 1}}});
        auto second = session({.queues = 2, .flows = {{.destination_port = 2}}});
        EXPECT_THAT(first->queues(), ElementsAre(3));
        EXPECT_THAT(second->queues(), ElementsAre(1, 2));
        EXPECT_THAT(nic->table, testing::Each(0U));
        EXPECT_THROW((void)session(), Error) << "one is left, for other traffic";
        (first_leaves_first ? first : second).reset();
        EXPECT_EQ(nic->split, DataSplit::on);
        EXPECT_TRUE(nic->steers);
        EXPECT_EQ(nic->rules[0].has_value(), !first_leaves_first);
        EXPECT_EQ(nic->rules[1].has_value(), first_leaves_first);
        (first_leaves_first ? second : first).reset();
        expect_as_before();
    }
}

// The second session turns steering on, and leaves before the first.
TEST_F(SessionTest, TheLastOnePutsBackWhatAnotherChanged) {
    auto first = session();
    session({.flows = {{.destination_port = 1}}}).reset();
    EXPECT_TRUE(nic->steers);
    first.reset();
    expect_as_before();
}

TEST_F(SessionTest, RestoreLeavesTheLivingAlone) {
    const auto core = session({.flows = {{.destination_port = 1}}});
    const FakeNicState in_use = *nic;
    EXPECT_THAT(restore(), IsEmpty());
    EXPECT_TRUE(*nic == in_use);
    EXPECT_TRUE(killed([&] {
        const SessionCore other(hooked([](const char*) {}),
                                options({.queues = 1, .flows = {{.destination_port = 2}}}));
        ::kill(::getpid(), SIGKILL);
    }));
    EXPECT_TRUE(nic->rules[1].has_value());
    EXPECT_THAT(restore(), SizeIs(1));
    EXPECT_TRUE(*nic == in_use);
}

TEST_F(SessionTest, KilledAtEachStepThenRestored) {
    for (const std::uint32_t contexts : {0, 3}) {
        nic->most_contexts = before.most_contexts = contexts;
        int step = 0;
        for (; killed([&] { live(killer(step)); }); ++step) {
            restore();
            expect_as_before();
            *nic = before;
        }
        expect_as_before();
        EXPECT_EQ(step, contexts == 0 ? 2 * 15 + 1 : 2 * 17) << "before and after each change";
    }
}

TEST_F(SessionTest, RestoreIsKilledAtEachStepToo) {
    nic->most_contexts = before.most_contexts = 3;
    for (int step = 0; killed([&] { live(killer(step)); }); ++step) {
        for (int again = 0; killed([&] { restore(killer(again)); }); ++again) {
            restore();
            expect_as_before();
            *nic = before;
            EXPECT_TRUE(killed([&] { live(killer(step)); }));
        }
        expect_as_before();
        *nic = before;
    }
}

TEST_F(SessionTest, TheNextSessionRestoresFirst) {
    EXPECT_TRUE(killed([&] { live(killer(12)); }));
    EXPECT_FALSE(*nic == before);
    {
        const auto core = session();
        EXPECT_THAT(core->queues(), ElementsAre(3));
        EXPECT_THAT(nic->rules, testing::Each(std::nullopt));
    }
    expect_as_before();
}

// What somebody else did to the NIC meanwhile.
TEST_F(SessionTest, ARuleThatIsNoLongerOurs) {
    auto core = session({.flows = {{.destination_port = 1}}});
    nic->rules[0] = FakeRule{{.destination_port = 9}, {0}};
    core.reset();
    EXPECT_EQ(nic->rules[0], (FakeRule{{.destination_port = 9}, {0}}));
    nic->rules[0].reset();
    expect_as_before();
}

TEST_F(SessionTest, TheSameRuleOfSomebodyElse) {
    nic->steers = true;
    nic->rules[0] = FakeRule{{.destination_port = 5201}, {1}};
    before = *nic;
    for (int step = 0; killed([&] { live(killer(step)); }); ++step) {
        restore();
        expect_as_before();
        *nic = before;
    }
}

TEST_F(SessionTest, ANicThatIsGone) {
    for (const std::uint8_t address : {0, 2}) {  // and one that has taken its number
        *nic = before;
        EXPECT_TRUE(killed([&] { live(killer(8)); }));
        *nic = {};
        nic->address = address;
        before = *nic;
        EXPECT_THAT(restore()[0].done, ElementsAre(HasSubstr("is gone")));
        expect_as_before();
        before.address = 1;
    }
    auto core = session();
    nic->address = 0;
    core->restore();
    EXPECT_THAT(scratch.files(), IsEmpty());
}

TEST_F(SessionTest, JournalsOfAnotherBootOrNamespace) {
    EXPECT_TRUE(killed([&] { live(killer(8)); }));
    const auto file = scratch.files().at(0);
    const FakeNicState abandoned = *nic;
    auto journal = *JournalFolder::load(scratch.path() / file);

    std::filesystem::remove(scratch.path() / file);
    journal.nic.netns++;
    JournalFolder(scratch.path()).save(journal);
    EXPECT_THAT(restore()[0].failed, ElementsAre(HasSubstr("network namespace")));
    EXPECT_THAT(scratch.files(), SizeIs(1));

    journal.nic.boot = "earlier";
    JournalFolder(scratch.path()).save(journal);
    EXPECT_THAT(restore()[0].done, ElementsAre(HasSubstr("is gone")));
    EXPECT_THAT(scratch.files(), IsEmpty());
    EXPECT_TRUE(*nic == abandoned);
}

TEST_F(SessionTest, AMalformedJournalChangesNothing) {
    EXPECT_TRUE(killed([&] { live(killer(8)); }));
    const auto file = scratch.files().at(0);
    const auto text = scratch.read(file);
    const FakeNicState abandoned = *nic;
    scratch.write(file, text.substr(0, text.size() / 2));
    const auto reports = restore();
    ASSERT_THAT(reports, SizeIs(1));
    EXPECT_THAT(reports[0].failed, ElementsAre(HasSubstr(file + ", line ")));
    EXPECT_THROW((void)session(), Error);
    EXPECT_TRUE(*nic == abandoned);

    scratch.write("copy.journal", text);
    scratch.write(file, text);
    const auto both = restore();
    ASSERT_THAT(both, SizeIs(2));
    EXPECT_EQ(both[0].failed.size() + both[1].failed.size(), 1U);
    std::filesystem::remove(scratch.path() / "copy.journal");
    expect_as_before();
}

TEST_F(SessionTest, NoFolderNoJournals) {
    EXPECT_THAT(restore_abandoned("/nowhere/at/all"), IsEmpty());
}

}  // namespace
}  // namespace devmem
