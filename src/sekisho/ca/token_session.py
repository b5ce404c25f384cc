"""The one session of a process with a token: PKCS#11, of which nothing else here knows."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, exceptions
from pkcs11.attributes import AttributeMapper
from pkcs11.util.ec import encode_named_curve_parameters

from sekisho.ca.token import KeyNotUsable, PinRefused, TokenAway

if TYPE_CHECKING:
    from collections.abc import Iterator

_P256 = encode_named_curve_parameters("secp256r1")
_WRONG_PIN = (exceptions.PinIncorrect, exceptions.PinInvalid, exceptions.PinLenRange, exceptions.PinLocked)


class _NeverOut(AttributeMapper):
    """What a CA's key is for: to sign, and nothing else, inside the token."""

    def public_key_template(self, *, capabilities: Any, id_: Any, label: Any, store: bool) -> dict[Attribute, Any]:
        """Return what the public half is made with."""
        del capabilities
        return {
            Attribute.CLASS: ObjectClass.PUBLIC_KEY,
            Attribute.TOKEN: store,
            Attribute.VERIFY: True,
            Attribute.ID: id_,
            Attribute.LABEL: label,
        }

    def private_key_template(self, *, capabilities: Any, id_: Any, label: Any, store: bool) -> dict[Attribute, Any]:
        """Return what the private half is made with."""
        del capabilities
        return {
            Attribute.CLASS: ObjectClass.PRIVATE_KEY,
            Attribute.TOKEN: store,
            Attribute.PRIVATE: True,
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
            Attribute.SIGN: True,
            Attribute.ID: id_,
            Attribute.LABEL: label,
        }


class Session:
    """A session that is logged in. One thread alone."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def make_key(self, label: str) -> bytes:
        """Make a P-256 key and return its point. Raises `KeyNotUsable` where it could be taken out."""
        with _translated():
            curve = self._session.create_domain_parameters(KeyType.EC, {Attribute.EC_PARAMS: _P256}, local=True)
            public, private = curve.generate_keypair(store=True, label=label, id=os.urandom(16))
            point = _bare(bytes(public[Attribute.EC_POINT]))
            try:
                _check(private)
            except KeyNotUsable:
                public.destroy()
                private.destroy()
                raise
            return point

    def signing_key(self, point: bytes) -> Any:
        """Return the private key of a point. Raises `KeyNotUsable`."""
        with _translated():
            for public in list(self._session.get_objects({Attribute.CLASS: ObjectClass.PUBLIC_KEY})):
                if _point_of(public) != point:
                    continue
                wanted = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.ID: public[Attribute.ID]}
                for private in list(self._session.get_objects(wanted)):
                    _check(private)
                    return private
        raise KeyNotUsable("the token has not the key of the CA's certificate")

    def sign(self, key: Any, digest: bytes) -> bytes:
        """Return r and s."""
        with _translated():
            return bytes(key.sign(digest, mechanism=Mechanism.ECDSA))


def open_session(module: str, label: str, pin: str) -> Session:
    """Load the module, find the token and log in. Raises `TokenAway` or `PinRefused`."""
    if not Path(module).exists():
        raise TokenAway(f"{module} is missing")
    try:
        with _translated():
            token = next(pkcs11.lib(module).get_tokens(token_label=label))
            return Session(token.open(rw=True, user_pin=pin, attribute_mapper=_NeverOut()))
    except StopIteration:
        raise TokenAway(f"there is no token with the label {label}") from None
    except RuntimeError as unloadable:
        raise TokenAway(f"{module} cannot be loaded") from unloadable


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _WRONG_PIN as refused:
        raise PinRefused(f"the token refuses the PIN ({type(refused).__name__})") from refused
    except exceptions.PKCS11Error as error:
        raise TokenAway(f"the module says {type(error).__name__}") from error


def _check(private: Any) -> None:
    """Raise `KeyNotUsable` unless the key was made in the token and never can, nor ever could, be taken out of it."""
    never_out = (
        private[Attribute.SENSITIVE]
        and private[Attribute.ALWAYS_SENSITIVE]
        and not private[Attribute.EXTRACTABLE]
        and private[Attribute.NEVER_EXTRACTABLE]
        and private[Attribute.LOCAL]
    )
    if not never_out:
        raise KeyNotUsable("the token has the CA's key in a way in which it could be taken out")


def _point_of(public: Any) -> bytes | None:
    if public[Attribute.KEY_TYPE] != KeyType.EC:
        return None
    return _bare(bytes(public[Attribute.EC_POINT]))


def _bare(point: bytes) -> bytes:
    """Return a point without the OCTET STRING that most tokens wrap it in."""
    return point[2:] if point[:1] == b"\x04" and len(point) > 2 and point[1] == len(point) - 2 else point  # noqa: PLR2004 - tag and length
