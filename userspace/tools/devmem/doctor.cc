// SPDX-License-Identifier: MIT
// devmem doctor: what device memory TCP needs, whether it is there, and what to do if not.
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command.h"
#include "devmem/probe.h"

namespace {

using devmem::Finding;
using Findings = std::vector<Finding>;
using State = Finding::State;
using Use = Finding::Use;

struct Options {
    std::string interface;
    std::string use = "both";
    bool json = false;
};

const char* name_of(Use use) {
    switch (use) {
        case Use::both:
            return "both";
        case Use::receive:
            return "receive";
        case Use::send:
            return "send";
        case Use::extra:
            break;
    }
    return "extra";
}

const char* name_of(State state) {
    switch (state) {
        case State::ok:
            return "ok";
        case State::missing:
            return "missing";
        case State::unknown:
            break;
    }
    return "unknown";
}

bool ready(const Findings& findings, Use use) {
    return std::ranges::none_of(
        findings, [use](const Finding& finding) { return stands_in_way(finding, use); });
}

/// How a row's verdict is written: what is in the way shouts, what would be nice does not.
struct Mark {
    const char* word;
    const char* colour;
};

Mark mark_of(const Finding& finding) {
    if (finding.state == State::ok) return {"ok", "\x1b[32m"};
    if (finding.state == State::unknown) return {"unknown", "\x1b[33m"};
    if (finding.use == Use::extra) return {"no", "\x1b[33m"};
    return {"MISSING", "\x1b[31m"};
}

void print_row(const Finding& finding, std::size_t width, bool colours) {
    const Mark mark = mark_of(finding);
    fmt::print("  {}{:<7}{}  {:<{}}  {}\n", colours ? mark.colour : "", mark.word,
               colours ? "\x1b[0m" : "", finding.name, width, finding.seen);
    if (!finding.remedy.empty())
        fmt::print("  {:<7}  {:<{}}  > {}\n", "", "", width, finding.remedy);
}

void print_verdict(const Findings& findings, Use use) {
    for (const Use each : {Use::receive, Use::send})
        if (use == Use::both || use == each)
            fmt::print("{}ready to {}\n", ready(findings, each) ? "" : "NOT ", name_of(each));
}

void print_table(const Findings& findings, Use use) {
    const bool colours = ::isatty(STDOUT_FILENO) != 0;
    std::size_t width = 0;
    for (const Finding& finding : findings) width = std::max(width, finding.name.size());
    std::string subject;
    for (const Finding& finding : findings) {
        if (finding.subject != subject) fmt::print("{}\n", finding.subject);
        subject = finding.subject;
        print_row(finding, width, colours);
    }
    fmt::print("\n");
    print_verdict(findings, use);
}

void print_json(const Findings& findings) {
    auto rows = nlohmann::ordered_json::array();
    for (const Finding& finding : findings)
        rows.push_back({{"subject", finding.subject},
                        {"name", finding.name},
                        {"needed", name_of(finding.use)},
                        {"state", name_of(finding.state)},
                        {"seen", finding.seen},
                        {"remedy", finding.remedy}});
    const nlohmann::ordered_json all = {
        {"ready",
         {{"receive", ready(findings, Use::receive)}, {"send", ready(findings, Use::send)}}},
        {"findings", std::move(rows)}};
    fmt::print("{}\n", all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

// What a kernel cannot do for one use is not asked about for the other.
Findings wanted(Findings all, Use use) {
    std::erase_if(all, [use](const Finding& finding) {
        const bool of_one = finding.use == Use::receive || finding.use == Use::send;
        return use != Use::both && of_one && finding.use != use;
    });
    return all;
}

Use use_of(const std::string& name) {
    for (const Use use : {Use::receive, Use::send})
        if (name == name_of(use)) return use;
    return Use::both;
}

int doctor(const Options& options) {
    const Use use = use_of(options.use);
    const Findings findings =
        wanted(options.interface.empty() ? devmem::probe() : devmem::probe(options.interface), use);
    if (options.json)
        print_json(findings);
    else
        print_table(findings, use);
    return ready(findings, use) ? exit_fine : exit_missing;
}

}  // namespace

void add_doctor(CLI::App& app, int& status) {
    const auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand(
        "doctor", "Tell what device memory TCP needs, what is missing, and what to do about it");
    command->add_option("INTERFACE", options->interface,
                        "look closely at this NIC; else at all, in a line each");
    command->add_option("--for", options->use, "what it is for")
        ->check(CLI::IsMember({"receive", "send", "both"}))
        ->capture_default_str();
    command->add_flag("--json", options->json, "print JSON instead of a table");
    command->footer("Changes nothing. Exit status 1 if anything needed is missing.");
    command->callback([options, &status] { status = doctor(*options); });
}
