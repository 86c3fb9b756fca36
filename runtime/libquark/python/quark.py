# SPDX-License-Identifier: Apache-2.0
"""libquark for Python: next, respond, fail and log over the mailbox and the doorbell.

    import quark

    prepare()                       # paid once, when the template is built
    while True:
        request = quark.next()      # the first call is the snapshot point
        quark.respond(request.data)

or `python3 -m quark MODULE.FUNCTION` for a function that maps bytes to bytes, str or JSON.

The protocol is vmm/include/mailbox.h. Pure Python, so that one file serves every CPython from 3.8
on, whatever its C library. What runs between the restore and the answer decides the start time of
a clone, because each page that is touched first has to be mapped by the host: so the header is read
and written through memoryviews, whose code lies in the interpreter itself, and not by struct or
ctypes, which are libraries of their own.

The doorbell must be rung by one plain 32-bit store. CPython's memoryview packs an item of format
"I" by memcpy(ptr, &x, sizeof(unsigned int)), which every compiler turns into one mov; nothing reads
the register. (An item of a ctypes array would be read before it is written.) tests/python traps the
store and decodes the instruction. Other interpreters are not supported.

One thread calls these functions. That thread holds the interpreter lock while it sleeps and while
the machine is stopped.
"""
import ctypes
import gc
import mmap
import os
import sys
from _thread import get_ident

try:
    from _sha3 import shake_256  # without hashlib, which loads all of OpenSSL
except ImportError:
    from hashlib import shake_256

__all__ = ["next", "respond", "fail", "log", "before_snapshot", "after_restore", "serve",
           "response_buffer", "RESPONSE_MAX", "Request", "Error", "ProtocolError", "RestoreError"]

# --- vmm/include/mailbox.h ----------------------------------------------------------------------

_MAGIC = 0x786F626B72617571
_VERSION = 2
_MAILBOX_BYTES = 2 << 20
_SMALL_REQUEST, _SMALL_REQUEST_MAX = 1024, 1024
_SMALL_RESPONSE, _SMALL_RESPONSE_MAX = 2048, 2048
_REQUEST, _REQUEST_MAX = 4096, (1 << 20) - 4096
_RESPONSE, RESPONSE_MAX = 1 << 20, (1 << 20) - 65536
_LOG, _LOG_MAX = _MAILBOX_BYTES - 65536, 4096
_TOUCH_WRITE, _TOUCH_MAX = 1, 4096
_BELL_BYTES = 4096

_ORDER_NONE, _ORDER_REQUEST, _ORDER_PARK, _ORDER_SLEEP = 0, 1, 2, 5
_READY, _DONE, _FAILED, _LOGGED = 1, 2, 3, 4
_ARRIVED, _GO = 1, 2

# Members of struct mailbox_header, as indices into its 32-bit (I_) or 64-bit (Q_) words.
_Q_MAGIC, _I_VERSION, _I_ORDER, _Q_GENERATION, _Q_REALTIME = 0, 2, 3, 2, 3
_ENTROPY, _ENTROPY_BYTES = 32, 64
_I_REQUEST_OFFSET, _I_REQUEST_BYTES, _I_TOUCH_OFFSET, _I_TOUCH_COUNT = 24, 25, 26, 27
_Q_SEQUENCE, _Q_GUEST_MAGIC, _I_GUEST_VERSION = 14, 15, 32
_I_RESPONSE_OFFSET, _I_RESPONSE_BYTES, _I_LOG_BYTES = 33, 34, 35
_Q_GUEST_SEQUENCE, _I_WAKE = 18, 38

_BELL_REGISTER = 3  # DOORBELL_REGISTER_OFFSET / 4

# --- Linux --------------------------------------------------------------------------------------

_SYS_FUTEX = 202  # x86-64, the only architecture of the guest
_FUTEX_WAIT, _FUTEX_WAKE, _FUTEX_WAKE_OP, _FUTEX_PRIVATE = 0, 1, 5, 128
_FUTEX_OP_ADD_ZERO = 1 << 28 | 0x800  # add 0; wake others if the old value was -2048
_MERSENNE_BYTES = 624 * 4
_ALL_WAITERS = 0x7FFFFFFF
_EAGAIN, _EINTR, _ETIMEDOUT = 11, 4, 110


class Error(Exception):
    """What this module raises."""


class ProtocolError(Error):
    """The host's side of the mailbox is not what this module knows."""


class RestoreError(Error):
    """A clone could not be made its own machine. It must not answer, and the process has to end."""


class Request:
    """A request. It lies in the mailbox, and is valid until the answer is given."""

    __slots__ = ("view",)

    def __init__(self, view):
        self.view = view

    @property
    def data(self):
        """The request's bytes, copied."""
        return bytes(self.view)

    @property
    def generation(self):
        """A new number for every clone."""
        return _guest.longs[_Q_GENERATION]

    @property
    def realtime_ns(self):
        """The host's wall clock when the request was sent."""
        return _guest.longs[_Q_REALTIME]

    @property
    def entropy(self):
        """64 bytes, fresh for every clone."""
        return bytes(_guest.bytes[_ENTROPY:_ENTROPY + _ENTROPY_BYTES])


class _Guest:
    """The state of the process: it has one mailbox."""

    __slots__ = ("bell", "map", "bytes", "words", "longs", "base", "by_run0", "arriving",
                 "sequence", "generation", "broken", "thread", "futex", "spare", "printed",
                 "reseeds")

    def __init__(self):
        self.bell = None        # until both are mapped
        self.arriving = True    # the next wait is where the snapshot is taken
        self.sequence = 0       # of the order being answered, 0 without one
        self.generation = -1    # of the clone that after_restore was done for
        self.broken = None      # why this clone must never answer
        self.printed = False    # something, in this request, that did not end in a newline
        self.reseeds = []       # what makes each generator unique, found before the snapshot


_guest = _Guest()
_before_snapshot = []
_after_restore = []

# --- setting up, before the snapshot ------------------------------------------------------------


def _env_fd(name):
    text = os.environ.get(name, "")
    if not text.isdigit():
        raise Error("there is no doorbell and mailbox: %s is not set to a descriptor" % name)
    return int(text)


def _open():
    guest = _guest
    bell_fd, mailbox_fd = _env_fd("QUARK_DOORBELL_FD"), _env_fd("QUARK_MAILBOX_FD")
    try:
        bell = mmap.mmap(bell_fd, _BELL_BYTES)
        guest.map = mmap.mmap(mailbox_fd, _MAILBOX_BYTES)
    except (OSError, ValueError) as error:
        raise Error("cannot map the doorbell or the mailbox: %s" % error) from error
    guest.bytes = memoryview(guest.map)
    guest.words = guest.bytes.cast("I")
    guest.longs = guest.bytes.cast("Q")
    guest.base = ctypes.addressof(ctypes.c_char.from_buffer(guest.map))
    # PyDLL keeps the interpreter lock.
    libc = ctypes.PyDLL(None, use_errno=True)
    guest.futex = libc.syscall
    guest.futex.argtypes = [ctypes.c_long, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32,
                            ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32]
    guest.futex.restype = ctypes.c_long
    guest.spare = (ctypes.c_uint64 * 2)()
    guest.by_run0 = os.environ.get("QUARK_WAKE") == "run0"
    guest.thread = get_ident()
    guest.bell = memoryview(bell).cast("I")
    _sign()


def _sign():
    """Puts the guest's mark on the header: a clone gets a fresh mailbox."""
    guest = _guest
    guest.longs[_Q_GUEST_MAGIC] = _MAGIC
    guest.words[_I_GUEST_VERSION] = _VERSION


def _futex(address, op, value, timeout=None, address2=None, value3=0):
    """0 or more, or -errno."""
    r = _guest.futex(_SYS_FUTEX, address, op, value, timeout, address2, value3)
    return -ctypes.get_errno() if r < 0 else r


# --- being one's own machine --------------------------------------------------------------------


def before_snapshot(hook):
    """Registers hook(), to be called before a snapshot is taken. Usable as a decorator."""
    _before_snapshot.append(hook)
    return hook


def after_restore(hook):
    """Registers hook(), to be called in each clone before its first request. If it raises, the
    clone fails and answers nothing. Usable as a decorator."""
    _after_restore.append(hook)
    return hook


def _mersenne(owner, words_at, index_at, words, index):
    """How a Mersenne Twister is seeded anew: its 624 words of state are overwritten in place.
    In a fresh clone that touches a few pages, where seed() touches 90 (random) or 400 (numpy).
    `words` and `index` are the state as its owner tells it. They must be found at the addresses: a
    generator that is laid out otherwise gives None, and is seeded by seed()."""
    state = (ctypes.c_ubyte * _MERSENNE_BYTES).from_address(words_at)
    position = ctypes.c_int.from_address(index_at)
    if bytes(state) != words or position.value != index:
        return None
    state, position = memoryview(state).cast("B"), memoryview(position).cast("B").cast("i")

    def reseed(seed, _owner=owner):
        state[:] = seed
        position[0] = 624  # all words are used up: the next draw makes new ones of them
    return _MERSENNE_BYTES, reseed


def _random_reseed(module):
    generator, module_seed = module._inst, module.seed
    module_seed()  # forgets gauss()'s second number, too
    _, state, _ = module.getstate()
    fast = None
    if type(generator).__basicsize__ >= object.__basicsize__ + _MERSENNE_BYTES + 4:
        index_at = id(generator) + object.__basicsize__  # RandomObject: an int, then the words
        words = b"".join(word.to_bytes(4, "little") for word in state[:-1])
        fast = _mersenne(generator, index_at + 4, index_at, words, state[-1])
    return fast or (64, lambda seed: module_seed(int.from_bytes(seed, "little")))


def _numpy_reseed(module):
    generator = module.mtrand._rand._bit_generator
    if type(generator).__name__ != "MT19937":  # numpy.random.set_bit_generator was used
        return 64, lambda seed: module.set_bit_generator(
            type(generator)(int.from_bytes(seed, "little")))
    module.seed()  # forgets the second normal number, too
    state, address = generator.state["state"], generator.ctypes.state_address
    fast = _mersenne(generator, address, address + _MERSENNE_BYTES, state["key"].tobytes(),
                     int(state["pos"]))
    return fast or (64, lambda seed: module.seed(memoryview(seed).cast("I").tolist()))


def _openssl_libraries():
    """Each copy of OpenSSL that is a library: the ssl module's, and those that wheels bring along.
    (A copy linked into another extension is hidden: docs/contracts/libquark.md.)"""
    with open("/proc/self/maps") as maps:
        files = {line.split(None, 5)[5].rstrip("\n") for line in maps if "/libcrypto" in line}
    return [ctypes.PyDLL(file) for file in sorted(files)]


def _openssl_is_inside(ssl):
    """Whether the ssl module has OpenSSL linked in, and not as a library."""
    path = getattr(ssl, "__file__", None)
    if path is None:
        return True
    with open(path, "rb") as file:
        return b"libcrypto.so" not in file.read()


def _openssl_forget(library):
    """Leaves OpenSSL without random state, so that a clone that draws has to ask the kernel first,
    and one that does not pays nothing. The primary generator is seeded anew, which makes the
    generators of all threads ask it before their next output, and then taken its seed away. False
    when this OpenSSL (3, or 1.1.1) has not what it needs."""
    for get, uninstantiate, arguments in (
            ("RAND_get0_primary", "EVP_RAND_uninstantiate", [None]),
            ("RAND_DRBG_get0_master", "RAND_DRBG_uninstantiate", [])):
        if hasattr(library, get) and hasattr(library, uninstantiate):
            get, uninstantiate = getattr(library, get), getattr(library, uninstantiate)
            get.restype = ctypes.c_void_p
            uninstantiate.argtypes = [ctypes.c_void_p]
            primary = get(*arguments)
            return bool(primary) and library.RAND_poll() == 1 and uninstantiate(primary) == 1
    return False


def _openssl_reseed(add, status):
    """The primary generator reseeds from the kernel and mixes this in; the generators of all
    threads see its new count and reseed before their next output."""
    def reseed(seed):
        add(seed, 64.0)
        if not status():
            raise RestoreError("OpenSSL's random generator did not take new entropy")
    return 64, reseed


def _openssl_library_reseed(library):
    add = library.RAND_add
    add.argtypes, add.restype = [ctypes.c_char_p, ctypes.c_int, ctypes.c_double], None
    return _openssl_reseed(lambda seed, entropy: add(seed, len(seed), entropy),
                           library.RAND_status)


def _openssl_reseeds():
    """Where OpenSSL can forget its state, nothing is left to do in the clone. That needs that no
    other thread draws between this and the snapshot, and that the clone's kernel is reseeded."""
    libraries = _openssl_libraries()
    lazy = _guest.by_run0 and len(os.listdir("/proc/self/task")) == 1
    left = [library for library in libraries if not (lazy and _openssl_forget(library))]
    ssl = sys.modules.get("_ssl")
    if ssl is None:
        return [_openssl_library_reseed(library) for library in left]
    reseed = _openssl_reseed(ssl.RAND_add, ssl.RAND_status)
    if _openssl_is_inside(ssl):
        return [reseed] + [_openssl_library_reseed(library) for library in left]
    if left and len(libraries) == 1:
        return [reseed]  # the same, without ctypes
    return [_openssl_library_reseed(library) for library in left]


def _uuid_forget(module):
    """uuid1 keeps a node number and a time; libuuid's, which it prefers, are out of reach."""
    def reseed(_seed):
        module._node = module._last_timestamp = module._generate_time_safe = None
    return 0, reseed


def _tempfile_forget(module):
    def reseed(_seed):
        module._name_sequence = None
    return 0, reseed


# Modules that keep in memory what they draw from. secrets, uuid4, SystemRandom and numpy's
# default_rng() ask the kernel, which was reseeded before the function woke.
_KEEPERS = (("random", _random_reseed), ("numpy.random", _numpy_reseed), ("uuid", _uuid_forget),
            ("tempfile", _tempfile_forget))


def _make_unique(entropy):
    """The default step after a restore: each generator gets a seed of its own. They are stretched
    from one secret by a hash, because what a Mersenne Twister puts out tells its seed, and from the
    host's entropy others are seeded."""
    reseeds = _guest.reseeds
    total = 0
    for size, _ in reseeds:
        total += size
    seeds = shake_256(os.urandom(32) + entropy).digest(total)
    at = 0
    for size, reseed in reseeds:
        reseed(seeds[at:at + size])
        at += size


def _prepare():
    """Before the snapshot: hooks, a rehearsal of what each clone will do, and a heap without
    garbage, which no collection will visit."""
    guest = _guest
    for hook in _before_snapshot:
        hook()
    guest.reseeds = [make(sys.modules[name]) for name, make in _KEEPERS if name in sys.modules]
    guest.reseeds += _openssl_reseeds()
    _rehearse(guest)
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _become(generation):
    """Once a clone. Whatever goes wrong, this clone answers nothing but that."""
    guest = _guest
    try:
        if generation == 0:
            raise RestoreError("the clone has no generation")
        _make_unique(bytes(guest.bytes[_ENTROPY:_ENTROPY + _ENTROPY_BYTES]))
        for hook in _after_restore:
            hook()
    except BaseException as error:
        guest.broken = RestoreError("after restore: %s: %s" % (type(error).__name__, error))
        _answer(str(guest.broken).encode("utf-8", "replace")[:RESPONSE_MAX], _FAILED)
        raise guest.broken from error
    guest.generation = generation


# --- the life of a request ----------------------------------------------------------------------


def _wait_for_run0():
    """Says that the function is at next(), and sleeps until PID 1 has made the clone its own
    machine. A fresh mailbox does not hold ARRIVED any more, so any other value is waited on."""
    guest = _guest
    wake = guest.base + 4 * _I_WAKE
    words = guest.words
    words[_I_WAKE] = _ARRIVED
    _futex(wake, _FUTEX_WAKE, _ALL_WAITERS)
    value = words[_I_WAKE]
    while value != _GO:
        r = _futex(wake, _FUTEX_WAIT, value)
        if r < 0 and r not in (-_EAGAIN, -_EINTR):
            raise Error("futex: %s" % os.strerror(-r))
        value = words[_I_WAKE]


def _touch():
    """Brings the pages that the host lists into this machine's second-stage page tables. The
    kernel touches them for us, by futex calls: a load that compares, and an atomic addition of
    zero. There is no such addition in Python, reading and writing back could undo what another
    thread writes, and a page that is not there is an error this way instead of a crash."""
    guest = _guest
    offset, count = guest.words[_I_TOUCH_OFFSET], guest.words[_I_TOUCH_COUNT]
    if (count > _TOUCH_MAX or offset % 8 or offset < _SMALL_REQUEST or
            offset + 8 * count > _MAILBOX_BYTES):
        raise ProtocolError("the list of pages (%d at %d) leaves the mailbox" % (count, offset))
    spare = ctypes.addressof(guest.spare)  # no time, and a word on which nobody waits
    for entry in guest.longs[offset // 8:offset // 8 + count].tolist():
        page = entry & ~4095
        if entry & _TOUCH_WRITE:
            r = _futex(spare, _FUTEX_WAKE_OP | _FUTEX_PRIVATE, 0, None, page, _FUTEX_OP_ADD_ZERO)
        else:
            r = _futex(page, _FUTEX_WAIT | _FUTEX_PRIVATE, 0, spare)
        if r < 0 and r not in (-_EAGAIN, -_ETIMEDOUT, -_EINTR):
            raise ProtocolError("cannot touch the page at 0x%x: %s" % (entry, os.strerror(-r)))


def _arrive():
    """Stops where the snapshot is taken."""
    guest = _guest
    if guest.bell is None:
        _open()
    if guest.broken is not None:
        raise guest.broken
    _prepare()
    guest.arriving = False
    if guest.by_run0:
        _wait_for_run0()
    else:
        guest.bell[_BELL_REGISTER] = _READY


def _other_order(order):
    """Carries out an order that is no request."""
    guest = _guest
    if order == _ORDER_PARK:
        guest.sequence = guest.longs[_Q_SEQUENCE]
        if guest.sequence == 0:
            raise ProtocolError("the order has no number")
        generation = guest.longs[_Q_GENERATION]
        if generation != guest.generation:
            _become(generation)
        guest.sequence = 0
        _touch()
    elif order == _ORDER_SLEEP:
        guest.arriving = True
    elif order != _ORDER_NONE:
        raise ProtocolError("order %d is unknown" % order)


def _next_view():
    """Waits for a request, and returns where it lies. Long, because in a fresh clone each function
    that is called costs a few pages."""
    guest = _guest
    if guest.sequence:
        _answer(b"the function did not answer", _FAILED)
    while True:
        if guest.arriving or guest.broken is not None:
            _arrive()
        else:
            guest.bell[_BELL_REGISTER] = _READY
        words, longs = guest.words, guest.longs
        if longs[_Q_MAGIC] != _MAGIC or words[_I_VERSION] != _VERSION:
            raise ProtocolError("the host's mailbox has another magic or version")
        order = words[_I_ORDER]
        if order == _ORDER_REQUEST:
            break
        _other_order(order)

    offset = words[_I_REQUEST_OFFSET]
    end = offset + words[_I_REQUEST_BYTES]
    if not (_SMALL_REQUEST <= offset and end <= _SMALL_REQUEST + _SMALL_REQUEST_MAX or
            _REQUEST <= offset and end <= _REQUEST + _REQUEST_MAX):
        raise ProtocolError("the request (%d to %d) leaves the mailbox" % (offset, end))
    sequence = longs[_Q_SEQUENCE]
    if sequence == 0:
        raise ProtocolError("the order has no number")
    guest.sequence = sequence
    generation = longs[_Q_GENERATION]
    if generation != guest.generation:
        _become(generation)
    return guest.bytes[offset:end]


def next():
    """Waits for a request. One that was not answered fails first. The first call is the snapshot
    point."""
    return Request(_next_view())


def _offset_in_response(view):
    """Of a view into response_buffer(), which needs no copy; else None."""
    if view.obj is not _guest.map or not view.nbytes or not view.contiguous:
        return None
    offset = ctypes.addressof(ctypes.c_char.from_buffer(view)) - _guest.base
    if offset < _RESPONSE or offset + view.nbytes > _RESPONSE + RESPONSE_MAX:
        return None
    return offset


def _answer(data, doorbell):
    """`data` is bytes or a memoryview of bytes."""
    guest = _guest
    sequence = guest.sequence
    if not sequence:
        raise Error("there is no request to answer")
    size = len(data)
    if size > RESPONSE_MAX:
        raise Error("a response has at most %d bytes, not %d" % (RESPONSE_MAX, size))
    offset = None if type(data) is bytes else _offset_in_response(data)
    if offset is None:
        offset = _SMALL_RESPONSE if size <= _SMALL_RESPONSE_MAX else _RESPONSE
        guest.bytes[offset:offset + size] = data
    words, longs = guest.words, guest.longs
    longs[_Q_GUEST_MAGIC] = _MAGIC
    words[_I_GUEST_VERSION] = _VERSION
    words[_I_RESPONSE_OFFSET] = offset
    words[_I_RESPONSE_BYTES] = size
    longs[_Q_GUEST_SEQUENCE] = sequence
    guest.sequence = 0
    guest.bell[_BELL_REGISTER] = doorbell


def _as_bytes(data):
    if isinstance(data, bytes):
        return bytes(data)
    if isinstance(data, str):
        return data.encode("utf-8", "surrogateescape")
    view = memoryview(data)
    if view.format == "B" and view.ndim == 1:
        return view
    return view.cast("B") if view.c_contiguous else view.tobytes()


def respond(data):
    """Answers the request with bytes, str, or any object that has a buffer."""
    if _guest.broken is not None:
        raise _guest.broken
    _answer(data if type(data) is bytes else _as_bytes(data), _DONE)


def fail(message):
    """Answers that the function failed, with a message (str or bytes) for the caller."""
    _answer(_as_bytes(message)[:RESPONSE_MAX], _FAILED)


def log(message):
    """Writes a line to the caller's log, cut at 4096 bytes. Returns at once."""
    guest = _guest
    if guest.bell is None:
        _open()
    data = _as_bytes(message)[:_LOG_MAX]
    guest.bytes[_LOG:_LOG + len(data)] = data
    _sign()
    guest.words[_I_LOG_BYTES] = len(data)
    guest.bell[_BELL_REGISTER] = _LOGGED


def response_buffer():
    """The mailbox's own room for a large response: respond() with a slice of it copies nothing."""
    if _guest.bell is None:
        _open()
    return _guest.bytes[_RESPONSE:_RESPONSE + RESPONSE_MAX]


# --- rehearsing, before the snapshot -------------------------------------------------------------

_ROUNDS = 20


def _rehearse(guest):
    """Becomes a clone, takes a request and answers it, some times, with a mailbox and a doorbell
    that nobody sees. A failure fails the build. And CPython writes to code until it has specialised
    it, in its first runs: a first run in the clone touches 60 pages more than a later one."""
    global _guest
    stage = _Guest()
    stage.map = bytearray(_REQUEST)
    stage.bytes = memoryview(stage.map)
    stage.words, stage.longs = stage.bytes.cast("I"), stage.bytes.cast("Q")
    stage.bell = memoryview(bytearray(_BELL_BYTES)).cast("I")
    stage.arriving, stage.by_run0, stage.reseeds = False, guest.by_run0, guest.reseeds
    stage.longs[_Q_MAGIC], stage.words[_I_VERSION] = _MAGIC, _VERSION
    stage.words[_I_ORDER], stage.words[_I_REQUEST_OFFSET] = _ORDER_REQUEST, _SMALL_REQUEST
    hooks, _after_restore[:] = _after_restore[:], []
    _guest = stage
    try:
        for number in range(1, _ROUNDS):
            stage.longs[_Q_GENERATION] = stage.longs[_Q_SEQUENCE] = number
            respond(next().data)
    finally:
        _guest = guest
        _after_restore[:] = hooks


# --- serving a handler --------------------------------------------------------------------------

_TRACEBACK_MAX = 2000  # stays in the mailbox's first page


class _LogStream:
    """Stands for stdout or stderr: lines that are printed while a request is answered go to the
    caller's log, everything else to the console as before."""

    def __init__(self, stream):
        self._stream = stream
        self._rest = ""

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text):
        if not _guest.sequence or get_ident() != _guest.thread:
            return self._stream.write(text)
        lines = (self._rest + text).split("\n")
        self._rest = lines.pop()
        _guest.printed = True
        for line in lines:
            log(line)
        return len(text)

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def flush(self):
        if not _guest.sequence:
            self._stream.flush()

    def finish(self):
        """At the end of a request: what has no newline yet is a line, too."""
        if self._rest:
            rest, self._rest = self._rest, ""
            log(rest)


def _failure(error):
    """The end of an exception's traceback, without serve's own frame."""
    import traceback
    lines = traceback.format_exception(type(error), error, error.__traceback__.tb_next)
    return "".join(lines).rstrip().encode("utf-8", "replace")[-_TRACEBACK_MAX:]


def serve(handler):
    """Answers every request with handler(request: bytes): bytes, str, None for nothing, or what
    json can write. An exception fails the request, with the end of its traceback."""
    import json
    import traceback  # pylint: disable=unused-import  # before the snapshot, for _failure

    dumps = json.JSONEncoder(separators=(",", ":")).encode
    for _ in range(_ROUNDS):
        json.loads(dumps({"rehearsal": [1, 2.5, None]}))
    streams = sys.stdout, sys.stderr = _LogStream(sys.stdout), _LogStream(sys.stderr)
    guest = _guest
    while True:
        view = _next_view()
        try:
            answer = handler(bytes(view))
            if answer is None:
                answer = b""
            elif not isinstance(answer, (bytes, str, bytearray, memoryview)):
                answer = dumps(answer)
            if guest.printed:
                guest.printed = False
                for stream in streams:
                    stream.finish()
            respond(answer)
        except Exception as error:
            if not guest.sequence:
                raise
            fail(_failure(error))
        except SystemExit as error:
            if guest.sequence:
                fail("the handler ended the process with status %s" % error.code)
            raise


def _main(argv):
    import importlib

    module, _, function = argv[1].rpartition(".") if len(argv) == 2 else ("", "", "")
    if not module or not function:
        sys.exit("usage: python3 -m quark MODULE.FUNCTION")
    handler = getattr(importlib.import_module(module), function, None)
    if not callable(handler):
        sys.exit("quark: module '%s' has no function '%s'" % (module, function))
    serve(handler)


if __name__ == "__main__":
    import quark  # under its own name, so that the handler's `import quark` finds this state

    quark._main(sys.argv)
