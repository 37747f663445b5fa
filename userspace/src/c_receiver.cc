// SPDX-License-Identifier: MIT
#include "c_receiver.h"

#include <memory>
#include <new>
#include <span>

#include "c_budget.h"
#include "c_error.h"
#include "c_options.h"
#include "receiver_core.h"

struct devmem_frag {
    devmem::Frag frag;
    devmem_piece piece;
};

namespace {

using devmem::Piece;
using devmem::Receiver;

devmem_state state_of(Receiver::State state) noexcept {
    switch (state) {
        case Receiver::State::data:
            return DEVMEM_OK;
        case Receiver::State::would_block:
            return DEVMEM_WOULD_BLOCK;
        case Receiver::State::end:
            return DEVMEM_END;
        case Receiver::State::reset:
            return DEVMEM_RESET;
        case Receiver::State::starved:
            return DEVMEM_STARVED;
        case Receiver::State::failed:
            break;
    }
    return DEVMEM_FAILED;
}

devmem_piece plain(const Piece& piece) noexcept {
    return {piece.on_device() ? nullptr : piece.host.data(),
            piece.offset,
            piece.size,
            piece.token,
            piece.dmabuf_id,
            0};
}

Receiver::Options options_of(const devmem_receiver_options* given) {
    const devmem_receiver_options known = devmem::read_options(given);
    Receiver::Options options;
    if (known.host_bytes > 0) options.host_bytes = known.host_bytes;
    if (known.pieces > 0) options.pieces = known.pieces;
    if (known.flush_at > 0) options.flush_at = known.flush_at;
    if (known.budgets)
        for (const devmem_budget* budget : std::span(known.budgets, known.budget_count))
            options.budgets.push_back(budget->budget);
    return options;
}

}  // namespace

int devmem_receiver_new(int socket, const devmem_receiver_options* options,
                        devmem_receiver** receiver, devmem_error** error) {
    return devmem::guarded(error, [&] {
        const auto known = options_of(options);
        auto made = std::make_unique<devmem_receiver>(
            devmem_receiver{{devmem::Fd::duplicate(socket), known}, {}, {}});
        // Memory that is never touched costs none.
        made->pieces.reserve(std::max(known.pieces, devmem::max_grown_pieces) + 1);
        *receiver = made.release();
    });
}

const devmem_received* devmem_receiver_receive(devmem_receiver* receiver, unsigned flags) {
    const bool wait = (flags & DEVMEM_WAIT) != 0;
    const auto got = receiver->receiver.receive(wait ? Receiver::Wait::yes : Receiver::Wait::no);
    receiver->pieces.clear();
    for (const Piece& piece : got.pieces) receiver->pieces.push_back(plain(piece));
    receiver->received = {
        state_of(got.state),     got.error.value(), receiver->pieces.data(),
        receiver->pieces.size(), got.bytes,         got.budget ? got.budget->fd() : -1};
    return &receiver->received;
}

devmem_frag* devmem_receiver_take(devmem_receiver* receiver, const devmem_piece* piece) {
    std::unique_ptr<devmem_frag> kept(new (std::nothrow) devmem_frag{});
    if (!kept) return nullptr;
    Piece wanted;
    wanted.token = piece->token;
    kept->frag = receiver->receiver.take(wanted);
    if (!kept->frag.held()) return nullptr;
    kept->piece = {nullptr, kept->frag.offset(), kept->frag.size(), 0, kept->frag.dmabuf_id(), 0};
    return kept.release();
}

const devmem_piece* devmem_frag_piece(const devmem_frag* frag) {
    return &frag->piece;
}

void devmem_frag_free(devmem_frag* frag) {
    delete frag;
}

int devmem_receiver_give_back(devmem_receiver* receiver) {
    return devmem::negative_errno(receiver->receiver.give_back());
}

int devmem_receiver_flush(devmem_receiver* receiver) {
    return devmem::negative_errno(receiver->receiver.flush());
}

size_t devmem_receiver_outstanding(const devmem_receiver* receiver) {
    return receiver->receiver.outstanding();
}

uint64_t devmem_receiver_held(const devmem_receiver* receiver, uint32_t binding) {
    return receiver->receiver.held(binding);
}

int devmem_receiver_fd(const devmem_receiver* receiver) {
    return receiver->receiver.fd();
}

void devmem_receiver_free(devmem_receiver* receiver) {
    delete receiver;
}
