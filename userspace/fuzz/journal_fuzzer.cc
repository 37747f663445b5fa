// SPDX-License-Identifier: MIT
// Somebody may have written anything to a journal: either it is just what the library would have
// written, or it is refused.
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "devmem/error.h"
#include "journal.h"

namespace {

constexpr std::string_view sound =
    "devmem-journal 1\nboot 8a6e\nnetns 4026531840\ninterface 7 02:00:5e:10:00:01 eth0\n"
    "tcp-data-split off\nhds-thresh 200\nsteering-off\nchannels - 4\nrss-table 0 1 2 3\n"
    "session 17 3\nrss-context - 1 2\nrule 3 255 tcp4 - - - 5201\nrule 3 - tcp6 2001:db8::1 1 "
    "2001:db8::2 2 254 255\n"
    "session 18 1 2\nend\n";

// Few inputs are nearly sound, so some are made of a sound one: a place and what to do there.
std::string nearly_sound(std::span<const std::uint8_t> edits) {
    std::string text(sound);
    for (; edits.size() >= 3; edits = edits.subspan(3)) {
        const std::size_t place = (edits[0] + 256U * (edits[1] / 128)) % text.size();
        if (edits[1] % 4 == 0)
            text.erase(place, edits[2]);
        else if (edits[1] % 4 == 1)
            text.insert(place, text.substr(edits[2] % text.size(), 40));
        else
            text[place] = static_cast<char>(edits[2]);
        if (text.empty()) break;
    }
    return text;
}

void try_journal(std::string_view text) {
    try {
        const devmem::Journal journal = devmem::parse_journal(text, "FILE");
        if (devmem::format_journal(journal) != text) std::abort();
    } catch (const devmem::Error& error) {
        if (error.code().value() != EBADMSG) std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    try_journal({reinterpret_cast<const char*>(data), size});
    try_journal(nearly_sound({data, size}));
    return 0;
}
