# SPDX-License-Identifier: MIT
"""libdevmem from Python: what recv.py and send.py need of devmem.h.

Objects free themselves; in a with statement, at its end. Failures raise OSError.
"""
import ctypes
import select
from ctypes import (POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_uint16, c_uint32, c_uint64,
                    c_void_p)

OK, WOULD_BLOCK, END, RESET, NO_MEMORY, FAILED, STARVED = range(7)
WAIT = 1

_lib = ctypes.CDLL('libdevmem.so.1')


class Piece(ctypes.Structure):
    """A run of bytes of the stream: host is its address, or None if it is in a dmabuf."""
    _fields_ = [('host', c_void_p), ('offset', c_uint64), ('size', c_uint32), ('token', c_uint32),
                ('dmabuf_id', c_uint32), ('reserved', c_uint32)]


class Extent(ctypes.Structure):
    """Some bytes of a dmabuf."""
    _fields_ = [('offset', c_size_t), ('length', c_size_t)]


class _Received(ctypes.Structure):
    _fields_ = [('state', c_int), ('error', c_int), ('pieces', POINTER(Piece)),
                ('count', c_size_t), ('bytes', c_size_t), ('budget_fd', c_int)]


class _ReceiverOptions(ctypes.Structure):
    _fields_ = [('size', c_size_t), ('host_bytes', c_size_t), ('pieces', c_size_t),
                ('flush_at', c_size_t), ('budgets', POINTER(c_void_p)), ('budget_count', c_size_t)]


class _Sent(ctypes.Structure):
    _fields_ = [('state', c_int), ('error', c_int), ('bytes', c_size_t), ('ticket', c_uint64)]


def _declare(name, result, *arguments):
    function = getattr(_lib, 'devmem_' + name)
    function.restype, function.argtypes = result, arguments
    return function


_error = POINTER(c_void_p)
_declare('error_text', c_char_p, c_void_p)
_declare('error_free', None, c_void_p)
_declare('interface_index', c_int, c_char_p, POINTER(c_uint32), _error)
_declare('dmabuf_of_kind', c_int, c_char_p, c_uint64, POINTER(c_void_p), _error)
_declare('dmabuf_to_device', c_int, c_void_p, c_uint64, c_char_p, c_size_t)
_declare('dmabuf_to_host', c_int, c_void_p, c_uint64, c_void_p, c_size_t)
_declare('dmabuf_size', c_uint64, c_void_p)
_declare('nic_session_new', c_int, c_uint32, c_void_p, POINTER(c_void_p), _error)
_declare('nic_session_steer_port', c_int, c_void_p, c_uint16, _error)
_declare('nic_session_queues', c_size_t, c_void_p, POINTER(POINTER(c_uint32)))
_declare('rx_binding_new', c_int, c_uint32, POINTER(c_uint32), c_size_t, c_void_p,
         POINTER(c_void_p), _error)
_declare('rx_binding_id', c_uint32, c_void_p)
_declare('budget_new', c_int, c_uint32, c_uint64, POINTER(c_void_p), _error)
_declare('budget_held', c_uint64, c_void_p)
_declare('budget_refusals', c_uint64, c_void_p)
_declare('tx_binding_new', c_int, c_uint32, c_void_p, POINTER(c_void_p), _error)
_declare('tx_binding_id', c_uint32, c_void_p)
_declare('receiver_new', c_int, c_int, POINTER(_ReceiverOptions), POINTER(c_void_p), _error)
_declare('receiver_receive', POINTER(_Received), c_void_p, c_uint)
_declare('sender_new', c_int, c_int, c_void_p, POINTER(c_void_p), _error)
_declare('sender_send', POINTER(_Sent), c_void_p, c_uint32, POINTER(Extent), c_size_t, c_uint)
_declare('sender_complete', c_size_t, c_void_p, c_uint)
_declare('sender_pending', c_size_t, c_void_p)
_declare('drop_front', c_size_t, POINTER(Extent), c_size_t, c_size_t)
for _noun in 'dmabuf', 'nic_session', 'rx_binding', 'tx_binding', 'budget', 'receiver', 'sender':
    _declare(_noun + '_free', None, c_void_p)


def _call(name, *arguments):
    """What makes or changes something: the library says why it failed."""
    error = c_void_p()
    result = getattr(_lib, 'devmem_' + name)(*arguments, byref(error))
    if result < 0:
        text = _lib.devmem_error_text(error).decode()
        _lib.devmem_error_free(error)
        raise OSError(-result, text)


def _check(result, what):
    """What copies: the errno says it all."""
    if result < 0:
        raise OSError(-result, what)


def interface_index(name):
    index = c_uint32()
    _call('interface_index', name.encode(), byref(index))
    return index.value


class _Object:
    """One object of the library, from the call devmem_NOUN_HOW."""

    def __init__(self, noun, how, *arguments):
        self._noun, self._pointer = noun, c_void_p()
        _call(f'{noun}_{how}', *arguments, byref(self._pointer))

    def close(self):
        getattr(_lib, f'devmem_{self._noun}_free')(self._pointer)
        self._pointer = c_void_p()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        self.close()


class DmaBuf(_Object):
    """Memory of a kind: accelmem, udmabuf, heap, cuda:1 ... The CPU cannot touch all of them."""

    def __init__(self, size, kind='accelmem'):
        super().__init__('dmabuf', 'of_kind', kind.encode(), size)

    def __len__(self):
        return _lib.devmem_dmabuf_size(self._pointer)

    def write(self, offset, data):
        _check(_lib.devmem_dmabuf_to_device(self._pointer, offset, data, len(data)),
               'copy to the device')

    def read(self, offset, size):
        data = ctypes.create_string_buffer(size)
        _check(_lib.devmem_dmabuf_to_host(self._pointer, offset, data, size), 'copy to the host')
        return data.raw


class NicSession(_Object):
    """A NIC made ready to receive into device memory; it is put back at the end."""

    def __init__(self, ifindex):
        super().__init__('nic_session', 'new', ifindex, None)

    def steer_port(self, port):
        _call('nic_session_steer_port', self._pointer, port)

    def queues(self):
        queues = POINTER(c_uint32)()
        count = _lib.devmem_nic_session_queues(self._pointer, byref(queues))
        return queues[:count]


class RxBinding(_Object):
    """A dmabuf bound to queues."""

    def __init__(self, ifindex, queues, dmabuf):
        super().__init__('rx_binding', 'new', ifindex, (c_uint32 * len(queues))(*queues),
                         len(queues), dmabuf._pointer)


class Budget(_Object):
    """How many bytes of a binding's memory receivers may keep from the NIC."""

    def __init__(self, binding, limit):
        super().__init__('budget', 'new', _lib.devmem_rx_binding_id(binding._pointer), limit)

    def held(self):
        return _lib.devmem_budget_held(self._pointer)

    def refusals(self):
        return _lib.devmem_budget_refusals(self._pointer)


class TxBinding(_Object):
    """A dmabuf bound to an interface to send from."""

    def __init__(self, ifindex, dmabuf):
        super().__init__('tx_binding', 'new', ifindex, dmabuf._pointer)


class Receiver(_Object):
    """Reads a TCP connection; where receivers share budgets, each waits for its turn."""

    def __init__(self, connection, budgets=()):
        pointers = (c_void_p * len(budgets))(*(budget._pointer for budget in budgets))
        options = _ReceiverOptions(size=ctypes.sizeof(_ReceiverOptions), budgets=pointers,
                                   budget_count=len(budgets))
        super().__init__('receiver', 'new', connection.fileno(), byref(options))

    def __iter__(self):
        """Each piece of the stream, in order. It is lent until the next one is asked for."""
        while True:
            got = _lib.devmem_receiver_receive(self._pointer, WAIT).contents
            if got.state == END:
                return
            if got.state == STARVED:
                select.select([got.budget_fd], [], [])
            elif got.state not in (OK, WOULD_BLOCK):
                raise OSError(got.error, 'receive')
            yield from got.pieces[:got.count]


class Sender(_Object):
    """Sends on a TCP connection."""

    def __init__(self, connection):
        super().__init__('sender', 'new', connection.fileno(), None)

    def send_all(self, binding, extents):
        """Sends all of them from the dmabuf, which is the sender's until wait()."""
        left, first = (Extent * len(extents))(*extents), 0
        number = _lib.devmem_tx_binding_id(binding._pointer)
        while first < len(left):
            rest = ctypes.cast(byref(left, first * ctypes.sizeof(Extent)), POINTER(Extent))
            sent = _lib.devmem_sender_send(self._pointer, number, rest, len(left) - first,
                                           WAIT).contents
            if sent.state == OK:
                first += _lib.devmem_drop_front(rest, len(left) - first, sent.bytes)
            elif sent.state == NO_MEMORY:
                _lib.devmem_sender_complete(self._pointer, WAIT)
            elif sent.state != WOULD_BLOCK:
                raise OSError(sent.error, 'send')

    def wait(self):
        """Until the memory is free again: the other side has it, or the connection broke."""
        while _lib.devmem_sender_pending(self._pointer) > 0:
            _lib.devmem_sender_complete(self._pointer, WAIT)
