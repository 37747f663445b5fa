// SPDX-License-Identifier: MIT
#include "restore.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "devmem/error.h"
#include "nic_undo.h"
#include "session_core.h"

namespace devmem {
namespace {

namespace fs = std::filesystem;

// A session that has just begun or ended may have changed the file, so it is read again.
void restore(const JournalFolder& folder, const fs::path& file, const NicFactory& make_nic,
             Restored& report) {
    auto journal = JournalFolder::load(file);
    if (!journal) return;
    report.interface = journal->nic.name;
    if (folder.journal_of(journal->nic) != file)
        throw Error(EBADMSG, "read journal " + file.string(), "it is of another interface");
    const auto turn = folder.turn(journal->nic);
    journal = JournalFolder::load(file);
    if (!journal) return;

    const auto nic = make_nic(journal->nic.ifindex);
    if (is_gone(*nic, journal->nic)) {
        folder.remove(journal->nic);
        report.done = {"nothing: the interface is gone"};
        return;
    }
    NicUndo undo(*nic, folder, *journal);
    undo.run();
    report.done = undo.done();
    for (const Error& error : undo.failed()) report.failed.emplace_back(error.what());
}

}  // namespace

std::vector<Restored> restore_abandoned(const std::string& journals, const NicFactory& make_nic) {
    std::vector<Restored> reports;
    if (std::error_code error; !fs::exists(journals, error)) return reports;
    const JournalFolder folder(journals);
    for (const fs::path& file : folder.journals()) {
        Restored report{.journal = file.string()};
        try {
            restore(folder, file, make_nic, report);
        } catch (const Error& error) {
            report.failed.emplace_back(error.what());
        }
        if (!report.done.empty() || !report.failed.empty()) reports.push_back(std::move(report));
    }
    return reports;
}

}  // namespace devmem
