// SPDX-License-Identifier: MIT
#include "journal.h"

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "devmem/error.h"

namespace devmem {
namespace {

constexpr std::string_view title = "devmem-journal 1";

// --- writing ----------------------------------------------------------------

template <class Number>
std::string words(const std::vector<Number>& numbers) {
    std::string text;
    for (const Number number : numbers) text.append(" ").append(std::to_string(number));
    return text;
}

template <class Number>
std::string word(const std::optional<Number>& number) {
    return number ? " " + std::to_string(*number) : " -";
}

std::string word(const std::optional<IpAddress>& address) {
    return address ? " " + address->text() : " -";
}

constexpr std::string_view split_words[] = {"unknown", "off", "on"};

std::string format(const Flow& flow) {
    std::string text = flow.protocol == Flow::Protocol::tcp ? " tcp" : " udp";
    text += flow.v6 ? "6" : "4";
    return text + word(flow.source) + word(flow.source_port) + word(flow.destination) +
           word(flow.destination_port);
}

std::string format(const JournalRule& rule) {
    return "rule" + word(rule.queue) + word(rule.location) + format(rule.flow) +
           words(rule.others) + "\n";
}

std::string format(const JournalSession& session) {
    std::string text = "session " + std::to_string(session.id) + words(session.queues) + "\n";
    if (session.context)
        text += "rss-context" + word(session.context->id) + words(session.context->others) + "\n";
    for (const JournalRule& rule : session.rules) text += format(rule);
    return text;
}

std::string format_nic(const NicIdentity& nic) {
    return "boot " + nic.boot + "\nnetns " + std::to_string(nic.netns) + "\ninterface " +
           std::to_string(nic.ifindex) + " " + nic.address + " " + nic.name + "\n";
}

// --- reading ----------------------------------------------------------------

/// The words of a line, to be taken one by one. Throws Malformed.
class Line {
  public:
    struct Malformed {};

    explicit Line(std::string_view text) : rest_(text) {}

    [[nodiscard]] bool more() const { return !rest_.empty(); }
    void end() const {
        if (more()) throw Malformed();
    }

    // Words are parted by one space, and none is empty.
    std::string_view next() {
        const auto space = rest_.find(' ');
        const auto word = rest_.substr(0, space);
        rest_.remove_prefix(space == std::string_view::npos ? rest_.size() : space + 1);
        if (word.empty() || (space != std::string_view::npos && !more())) throw Malformed();
        return word;
    }

    template <class Number>
    Number number() {
        return read<Number>(next());
    }

    template <class Number>
    std::optional<Number> optional_number() {
        const auto word = next();
        if (word == "-") return std::nullopt;
        return read<Number>(word);
    }

    std::optional<IpAddress> optional_address() try {
        const auto word = next();
        if (word == "-") return std::nullopt;
        return IpAddress(std::string(word));
    } catch (const Error&) {
        throw Malformed();
    }

    std::vector<std::uint32_t> numbers() {
        std::vector<std::uint32_t> numbers;
        while (more()) numbers.push_back(number<std::uint32_t>());
        return numbers;
    }

  private:
    template <class Number>
    static Number read(std::string_view word) {
        Number number{};
        const char* end = word.data() + word.size();
        const auto [stop, error] = std::from_chars(word.data(), end, number);
        if (error != std::errc() || stop != end) throw Malformed();
        return number;
    }

    std::string_view rest_;
};

std::optional<DataSplit> read_split(std::string_view word) {
    const auto* found = std::ranges::find(split_words, word);
    if (found == std::end(split_words)) throw Line::Malformed();
    return static_cast<DataSplit>(found - split_words);
}

Flow read_flow(Line& line) {
    Flow flow;
    const auto protocol = line.next();
    if (protocol != "tcp4" && protocol != "tcp6" && protocol != "udp4" && protocol != "udp6")
        throw Line::Malformed();
    flow.protocol = protocol.starts_with("tcp") ? Flow::Protocol::tcp : Flow::Protocol::udp;
    flow.v6 = protocol.ends_with("6");
    flow.source = line.optional_address();
    flow.source_port = line.optional_number<std::uint16_t>();
    flow.destination = line.optional_address();
    flow.destination_port = line.optional_number<std::uint16_t>();
    return flow;
}

JournalRule read_rule(Line& line) {
    JournalRule rule;
    rule.queue = line.optional_number<std::uint32_t>();
    rule.location = line.optional_number<std::uint32_t>();
    rule.flow = read_flow(line);
    rule.others = line.numbers();
    return rule;
}

JournalContext read_context(Line& line) {
    JournalContext context;
    context.id = line.optional_number<std::uint32_t>();
    context.others = line.numbers();
    return context;
}

void read_line(Line& line, Journal& journal) {
    const auto key = line.next();
    if (key == "session") {
        journal.sessions.push_back({.id = line.number<std::uint64_t>()});
        journal.sessions.back().queues = line.numbers();
    } else if (key == "rss-context" && !journal.sessions.empty()) {
        journal.sessions.back().context = read_context(line);
    } else if (key == "rule" && !journal.sessions.empty()) {
        journal.sessions.back().rules.push_back(read_rule(line));
    } else if (key == "tcp-data-split") {
        journal.rings.data_split = read_split(line.next());
    } else if (key == "hds-thresh") {
        journal.rings.hds_thresh = line.number<std::uint32_t>();
    } else if (key == "steering-off") {
        journal.steering_was_off = true;
    } else if (key == "channels") {
        journal.channels.rx = line.optional_number<std::uint32_t>();
        journal.channels.combined = line.optional_number<std::uint32_t>();
    } else if (key == "rss-table") {
        journal.rss_table = line.numbers();
    } else {
        throw Line::Malformed();
    }
}

/// The lines of the file.
class Lines {
  public:
    Lines(std::string_view text, const std::string& file) : rest_(text), file_(file) {}

    // Calls take() with the next line, all of whose words it must take.
    template <class Take>
    void next(Take take) try {
        ++number_;
        const auto end = rest_.find('\n');
        if (end == std::string_view::npos) throw Line::Malformed();
        Line line(rest_.substr(0, end));
        rest_.remove_prefix(end + 1);
        take(line);
        line.end();
    } catch (const Line::Malformed&) {
        malformed(number_);
    }

    [[noreturn]] void malformed(std::ptrdiff_t line) const {
        throw Error(EBADMSG, "read journal " + file_ + ", line " + std::to_string(line));
    }

    [[nodiscard]] bool at_end() const { return rest_ == "end\n"; }

  private:
    std::string_view rest_;
    const std::string& file_;
    std::ptrdiff_t number_ = 0;
};

void expect(Line& line, std::string_view word) {
    if (line.next() != word) throw Line::Malformed();
}

NicIdentity read_nic(Lines& lines) {
    NicIdentity nic;
    lines.next([&](Line& line) {
        expect(line, "boot");
        nic.boot = line.next();
    });
    lines.next([&](Line& line) {
        expect(line, "netns");
        nic.netns = line.number<std::uint64_t>();
    });
    lines.next([&](Line& line) {
        expect(line, "interface");
        nic.ifindex = line.number<std::uint32_t>();
        nic.address = line.next();
        nic.name = line.next();
    });
    return nic;
}

// The line in which two texts differ.
std::ptrdiff_t differing_line(std::string_view a, std::string_view b) {
    const auto* const differ = std::ranges::mismatch(a, b).in1;
    return 1 + std::count(a.begin(), differ, '\n');
}

}  // namespace

bool Journal::changed() const {
    return rings.data_split || rings.hds_thresh || steering_was_off || channels.rx ||
           channels.combined || !rss_table.empty();
}

std::string format_journal(const Journal& journal) {
    std::string text = std::string(title) + "\n" + format_nic(journal.nic);
    const auto& [rx_ring, tx_ring, split, thresh] = journal.rings;
    if (split)
        text.append("tcp-data-split ")
            .append(split_words[static_cast<std::size_t>(*split)])
            .append("\n");
    if (thresh) text += "hds-thresh" + word(thresh) + "\n";
    if (journal.steering_was_off) text += "steering-off\n";
    if (journal.channels.rx || journal.channels.combined)
        text += "channels" + word(journal.channels.rx) + word(journal.channels.combined) + "\n";
    if (!journal.rss_table.empty()) text += "rss-table" + words(journal.rss_table) + "\n";
    for (const JournalSession& session : journal.sessions) text += format(session);
    return text + "end\n";
}

// What can be read but would not be written so (a line twice, a number with zeros in front) was not
// written by this library.
Journal parse_journal(std::string_view text, const std::string& file) {
    Lines lines(text, file);
    lines.next([](Line& line) {
        expect(line, "devmem-journal");
        expect(line, "1");
    });
    Journal journal;
    journal.nic = read_nic(lines);
    while (!lines.at_end()) lines.next([&](Line& line) { read_line(line, journal); });
    const std::string again = format_journal(journal);
    if (again != text) lines.malformed(differing_line(text, again));
    return journal;
}

}  // namespace devmem
