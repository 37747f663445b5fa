// SPDX-License-Identifier: GPL-2.0
// Whose turn it is in the bench, which has one processor.
#pragma once

/// From now on this process runs whenever it can. How many bytes are read at a time is to depend on
/// when they come, not on when a scheduler thinks that it is the reader's turn: of the same stream,
/// Linux 6.12's makes reads that cost a fifth more or less each time. Elsewhere the reader has a
/// processor to itself.
void go_first();
