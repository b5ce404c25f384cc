"""Keys in a token behind PKCS#11: made there, SENSITIVE and never EXTRACTABLE.

python-pkcs11 initialises a module for one thread alone, and a process that
was forked cannot use one at all. So the module is loaded in processes of
their own, spawned, each with one session that is logged in once. A module
that crashes takes such a process with it, and not the CA; whatever fails,
the process ends and the next signature starts another.
"""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import queue
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import Hash
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from typing import NoReturn

log = logging.getLogger("sekisho.ca")
_spawn = multiprocessing.get_context("spawn")
_START_S = 30.0
_SIGN_S = 5.0
_PAUSE_S = 1.0
_STOP_S = 5.0
# `multiprocessing` looks at all its children whenever one starts, and two threads that ask how the same one ended
# leave one of them without an answer: it would take the dead process for alive. So they start and end in turn.
_IN_TURN = threading.Lock()


class TokenAway(Exception):  # noqa: N818 - names what happened
    """The token does not sign at the moment; the text says what its module says."""


class PinRefused(Exception):  # noqa: N818 - names what happened
    """The token does not take this PIN. It is not tried again: a token closes after a few."""


class KeyNotUsable(Exception):  # noqa: N818 - names what was found
    """The token has not the key that the certificate names, or has it in a way in which it could be taken out."""


@dataclass(frozen=True, slots=True)
class TokenSpec:
    """Which token: the module's file, the token's label and its user PIN."""

    module: str
    label: str
    pin: str = field(repr=False)


class TokenKey(ec.EllipticCurvePrivateKey):
    """A private key that stays where it is; the builders of `cryptography` sign with it as with any other."""

    def __init__(self, public_key: ec.EllipticCurvePublicKey, token: Token) -> None:
        self._public_key = public_key
        self._token = token
        self._point = point_of(public_key)

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the public half."""
        return self._public_key

    @property
    def curve(self) -> ec.EllipticCurve:
        """The curve of the public half."""
        return self._public_key.curve

    @property
    def key_size(self) -> int:
        """Bits of the curve."""
        return self._public_key.key_size

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """Return the DER signature. That it was to be deterministic is not heard: the token draws its own nonces.

        Raises `TokenAway`, also where what the token gave is no signature.
        """
        algorithm = signature_algorithm.algorithm
        if isinstance(algorithm, Prehashed):
            digest = bytes(data)
        else:
            hashed = Hash(algorithm)
            hashed.update(data)
            digest = hashed.finalize()
        raw = self._token.sign(self._point, digest)
        half = len(raw) // 2
        signature = encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))
        try:
            self._public_key.verify(signature, data, ec.ECDSA(algorithm))
        except InvalidSignature as wrong:
            raise TokenAway("the token gave a signature that does not hold") from wrong
        return signature

    def _stays(self) -> NoReturn:
        raise TypeError("the key is in a token and stays there")

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        """Refuse."""
        del algorithm, peer_public_key
        self._stays()

    def private_numbers(self) -> ec.EllipticCurvePrivateNumbers:
        """Refuse."""
        self._stays()

    def private_bytes(self, encoding: Any, format: Any, encryption_algorithm: Any) -> bytes:  # noqa: A002 - the interface's name
        """Refuse."""
        del encoding, format, encryption_algorithm
        self._stays()

    def __copy__(self) -> TokenKey:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> TokenKey:
        return self


@dataclass(slots=True, eq=False)
class _Signing:
    """One process with one session, and this end of the pipe to it."""

    process: SpawnProcess
    pipe: Connection

    def end(self) -> None:
        """End it; it may be stuck inside the module."""
        self.pipe.close()
        with _IN_TURN:
            if self.process.is_alive():
                self.process.terminate()
                self.process.join(_STOP_S)
                if self.process.is_alive():
                    self.process.kill()
            self.process.join(_STOP_S)
            # One that hangs in a driver cannot even be killed: it is left behind rather than waited for.
            if not self.process.is_alive():
                self.process.close()


@dataclass(order=True, slots=True)
class _Place:
    """Room for one process; None stands for one that is to be started first. The smallest is taken first."""

    rank: tuple[bool, int]
    signing: _Signing | None = field(compare=False)


class Token:
    """One token, with so many processes that sign. Many threads may use it at once.

    Raises `PinRefused`, `KeyNotUsable` or `TokenAway` where the first process
    does not come up with all `keys`.
    """

    def __init__(self, spec: TokenSpec, keys: Sequence[ec.EllipticCurvePublicKey], *, processes: int = 1) -> None:
        self._spec = spec
        self._points = [point_of(key) for key in keys]
        self._keys = {point_of(key): TokenKey(key, self) for key in keys}
        self.processes = processes
        self._lock = threading.Lock()
        # Those that run come first, and of them the one that signed last.
        self._free: queue.PriorityQueue[_Place] = queue.PriorityQueue()
        self._not_before = 0.0
        self._lost = ""
        self._shut = False
        self._given_back = itertools.count()
        self._give_back(self._start())
        for _ in range(processes - 1):
            self._give_back(None)

    def key(self, public_key: ec.EllipticCurvePublicKey) -> TokenKey:
        """Return the private key of a public one."""
        return self._keys[point_of(public_key)]

    def sign(self, point: bytes, digest: bytes) -> bytes:
        """Return r and s, each of half the octets. Raises `TokenAway`."""
        try:
            signing = self._free.get(timeout=_SIGN_S).signing
        except queue.Empty:
            raise TokenAway("every process that signs is busy") from None
        try:
            if signing is None:
                signing = self._start_again()
            answer = _asked(signing, bytes([self._points.index(point)]) + digest)
        except (OSError, EOFError, TokenAway, PinRefused, KeyNotUsable) as lost:
            # Somebody changed the PIN: every further try would bring the token nearer to closing.
            self._shut = self._shut or isinstance(lost, PinRefused)
            self._note_lost("the process that signs ended" if isinstance(lost, OSError | EOFError) else str(lost))
            self._replace(signing)
            raise TokenAway(self._lost) from lost
        except BaseException:
            # What it was asked it may still answer, and the next question would get that.
            self._replace(signing)
            raise
        self._give_back(signing)
        if self._lost:
            self._lost = ""
            log.info("the token %s signs again", self._spec.label)
        return answer

    def close(self) -> None:
        """End every process."""
        for _ in range(self.processes):
            with suppress(queue.Empty):
                signing = self._free.get_nowait().signing
                if signing is not None:
                    signing.end()

    def _replace(self, signing: _Signing | None) -> None:
        """End a process that is not to be asked again; another is started when its turn comes."""
        self._give_back(None)
        if signing is not None:
            signing.end()

    def _give_back(self, signing: _Signing | None) -> None:
        self._free.put(_Place((signing is None, -next(self._given_back)), signing))

    def _start_again(self) -> _Signing:
        """Start a process in the place of one that was lost, not more often than once in a while."""
        with self._lock:
            # A refused PIN is never tried again, though another process that logged in before goes on signing.
            if self._shut or (self._lost and self._not_before > time.monotonic()):
                raise TokenAway(self._lost or "the token refused the PIN")
            self._not_before = time.monotonic() + _PAUSE_S
            return self._start()

    def _start(self) -> _Signing:
        here, there = _spawn.Pipe()
        arguments = (there, self._spec.module, self._spec.label, self._spec.pin, self._points)
        process = _spawn.Process(target=_be_signing, args=arguments, name="token", daemon=True)
        with _IN_TURN:
            process.start()
        there.close()
        signing = _Signing(process, here)
        try:
            _asked(signing, None, patience_s=_START_S)
        except EOFError as ended:
            signing.end()
            raise TokenAway("the module ended the process that loaded it") from ended
        except BaseException:
            signing.end()
            raise
        return signing

    def _note_lost(self, why: str) -> None:
        if why != self._lost:
            self._lost = why
            log.error("the token %s does not sign: %s", self._spec.label, why)


def point_of(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the uncompressed point, which is what a token knows a public key by."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _asked(signing: _Signing, question: bytes | None, *, patience_s: float = _SIGN_S) -> bytes:
    """Return what a process says. Its first octet tells what it is."""
    if question is not None:
        signing.pipe.send_bytes(question)
    if not signing.pipe.poll(patience_s):
        raise TokenAway("the module does not answer")
    answer = signing.pipe.recv_bytes(1 << 16)
    if answer[:1] == _DONE:
        return answer[1:]
    raise _FAILURES[answer[:1]](answer[1:].decode())


_DONE = b"+"
_FAILURES: dict[bytes, type[Exception]] = {b"a": TokenAway, b"p": PinRefused, b"k": KeyNotUsable}


def _be_signing(pipe: Connection, module: str, label: str, pin: str, points: Sequence[bytes]) -> None:
    """Sign until the pipe is closed, in a process of its own."""
    import signal

    from sekisho.ca import token_session

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        session = token_session.open_session(module, label, pin)
        keys = [session.signing_key(point) for point in points]
        pipe.send_bytes(_DONE)
        while True:
            question = pipe.recv_bytes(1 << 10)
            pipe.send_bytes(_DONE + session.sign(keys[question[0]], question[1:]))
    except (EOFError, BrokenPipeError):
        return
    except (TokenAway, PinRefused, KeyNotUsable) as failure:
        letter = next(letter for letter, kind in _FAILURES.items() if isinstance(failure, kind))
        with suppress(OSError):
            pipe.send_bytes(letter + str(failure).encode())


def make_key(spec: TokenSpec, label: str) -> ec.EllipticCurvePublicKey:
    """Make a P-256 key in the token and return its public half.

    In a process of its own, as everything that loads a module. Raises what `Token` does.
    """
    here, there = _spawn.Pipe()
    process = _spawn.Process(target=_be_making, args=(there, spec.module, spec.label, spec.pin, label), daemon=True)
    with _IN_TURN:
        process.start()
    there.close()
    signing = _Signing(process, here)
    try:
        point = _asked(signing, None, patience_s=_START_S)
    except EOFError as ended:
        raise TokenAway("the module ended the process that loaded it") from ended
    finally:
        signing.end()
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)


def _be_making(pipe: Connection, module: str, token_label: str, pin: str, label: str) -> None:
    from sekisho.ca import token_session

    try:
        pipe.send_bytes(_DONE + token_session.open_session(module, token_label, pin).make_key(label))
    except (TokenAway, PinRefused, KeyNotUsable) as failure:
        letter = next(letter for letter, kind in _FAILURES.items() if isinstance(failure, kind))
        pipe.send_bytes(letter + str(failure).encode())
