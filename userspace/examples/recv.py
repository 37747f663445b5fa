#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Receives one connection into device memory and writes it out from there.

    recv.py eth0 5201 > file     (as root; then, elsewhere: nc ADDRESS 5201 < file)

The memory is an accelerator's, or of the kind named last: udmabuf, heap:system, cuda:0 ...
"""
import ctypes
import socket
import sys

from devmem import Budget, DmaBuf, NicSession, Receiver, RxBinding, interface_index


def bytes_of(piece, memory):
    if piece.dmabuf_id:
        return memory.read(piece.offset, piece.size)
    return ctypes.string_at(piece.host, piece.size)


def run(interface, port, kind='accelmem'):
    ifindex = interface_index(interface)
    on_device = 0
    with DmaBuf(16 << 20, kind) as memory, NicSession(ifindex) as nic:
        nic.steer_port(port)
        with RxBinding(ifindex, nic.queues(), memory) as binding, \
             Budget(binding, len(memory) // 4) as budget, \
             socket.create_server(('', port), family=socket.AF_INET6, dualstack_ipv6=True) as server:
            connection, _ = server.accept()
            with connection, Receiver(connection, [budget]) as receiver:
                for piece in receiver:
                    sys.stdout.buffer.write(bytes_of(piece, memory))
                    on_device += piece.size if piece.dmabuf_id else 0
    print(on_device, 'bytes into the dmabuf', file=sys.stderr)


if len(sys.argv) not in (3, 4):
    sys.exit('usage: recv.py INTERFACE PORT [KIND]')
run(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
