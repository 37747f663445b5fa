#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads a file into an accelerator's memory and sends it from there.

    send.py eth0 192.0.2.1 5201 < file     (there: recv.py eth0 5201 > copy)
"""
import socket
import sys

from devmem import DmaBuf, Extent, Sender, TxBinding, interface_index


def run(interface, address, port):
    with DmaBuf(64 << 20) as memory, TxBinding(interface_index(interface), memory) as binding:
        data = sys.stdin.buffer.read()
        memory.write(0, data)
        half = len(data) // 2
        extents = [Extent(0, half), Extent(half, len(data) - half)]  # in any order
        with socket.create_connection((address, port)) as connection:
            with Sender(connection) as sender:
                sender.send_all(binding, extents)
                sender.wait()


if len(sys.argv) != 4:
    sys.exit('usage: send.py INTERFACE ADDRESS PORT')
run(sys.argv[1], sys.argv[2], int(sys.argv[3]))
