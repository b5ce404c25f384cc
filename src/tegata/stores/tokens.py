"""Tokens behind PKCS#11: smart cards, TPM 2.0 through tpm2-pkcs11, SoftHSM.

The key is made in the token, SENSITIVE and never EXTRACTABLE. The module is
initialised once for each process and used by one thread at a time, as
python-pkcs11 needs it.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pkcs11
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from pkcs11 import Attribute, CertificateType, KeyType, Mechanism, ObjectClass, TokenFlag, exceptions
from pkcs11.attributes import AttributeMapper
from pkcs11.util.ec import encode_named_curve_parameters

from tegata.errors import StoreTrouble
from tegata.stores.interface import Entry, Held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_P256 = encode_named_curve_parameters("secp256r1")
# What tpm2-pkcs11 says of itself in CK_INFO.
_TPM_MAKER = "tpm2-software"
_UNCOMPRESSED_P256 = 65

_MEANS: list[tuple[type[Exception], str]] = [
    (exceptions.PinLocked, "store-locked"),
    (exceptions.PinIncorrect, "store-pin-wrong"),
    (exceptions.PinLenRange, "store-pin-wrong"),
    (exceptions.PinInvalid, "store-pin-wrong"),
    (exceptions.TokenWriteProtected, "store-read-only"),
    (exceptions.SessionReadOnly, "store-read-only"),
    (exceptions.DeviceMemory, "store-full"),
    (exceptions.TokenNotPresent, "store-missing"),
    (exceptions.DeviceRemoved, "store-missing"),
]


class _OnlyWhatCounts(AttributeMapper):
    """Templates that say what a key is for and leave the rest to the token: tpm2-pkcs11 refuses spelled-out noes."""

    def public_key_template(self, *, capabilities: Any, id_: Any, label: Any, store: bool) -> dict[Attribute, Any]:
        del capabilities
        return {
            Attribute.CLASS: ObjectClass.PUBLIC_KEY,
            Attribute.TOKEN: store,
            Attribute.VERIFY: True,
            Attribute.ID: id_,
            Attribute.LABEL: label,
        }

    def private_key_template(self, *, capabilities: Any, id_: Any, label: Any, store: bool) -> dict[Attribute, Any]:
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


class _TokenKey:
    """A key in the token."""

    def __init__(self, store: TokenStore, private: Any, point: bytes) -> None:
        self._store = store
        self._private = private
        self.id = bytes(private[Attribute.ID])
        self.public_key = _public_key(store.spec, point)

    def sign_digest(self, digest: bytes) -> bytes:
        with self._store.translated():
            raw = self._private.sign(digest, mechanism=Mechanism.ECDSA)
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))


class TokenStore:
    """One token of one module, with an open session.

    Without `ask_pin` only what everybody may see can be read.
    """

    def __init__(self, module: str, label: str | None, ask_pin: Callable[[str], str] | None) -> None:
        self.module = module
        library = _load(module)
        self._token = _choose(library, module, label)
        self.spec = f"pkcs11:{module}:{self._token.label}"
        self.held = Held.TPM if library.manufacturer_id.startswith(_TPM_MAKER) else Held.TOKEN
        self._session: Any = None
        with self.translated():
            self._session = self._open(ask_pin)

    def _open(self, ask_pin: Callable[[str], str] | None) -> Any:
        flags = self._token.flags
        if ask_pin is None or not flags & TokenFlag.LOGIN_REQUIRED:
            return self._token.open(rw=ask_pin is not None, attribute_mapper=_OnlyWhatCounts())
        if flags & TokenFlag.USER_PIN_LOCKED:
            raise StoreTrouble("store-locked", store=self.spec)
        if flags & TokenFlag.WRITE_PROTECTED:
            raise StoreTrouble("store-read-only", store=self.spec)
        pin: object = pkcs11.PROTECTED_AUTH
        if not flags & TokenFlag.PROTECTED_AUTHENTICATION_PATH:
            pin = ask_pin(self.spec)
        return self._token.open(rw=True, user_pin=pin, attribute_mapper=_OnlyWhatCounts())

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what the module says into words for a person."""
        try:
            yield
        except exceptions.PKCS11Error as error:
            for kind, code in _MEANS:
                if isinstance(error, kind):
                    raise StoreTrouble(code, store=self.spec) from error
            raise StoreTrouble("store-failed", store=self.spec, detail=type(error).__name__) from error

    def _objects(self, kind: ObjectClass, **wanted: Any) -> list[Any]:
        """Return the objects of a class. A list, so that no search stays open behind it."""
        by = {"id": Attribute.ID, "label": Attribute.LABEL}
        return list(self._session.get_objects({Attribute.CLASS: kind} | {by[k]: v for k, v in wanted.items()}))

    def key_ids(self) -> frozenset[bytes]:
        with self.translated():
            return frozenset(bytes(key[Attribute.ID]) for key in self._objects(ObjectClass.PRIVATE_KEY))

    def make_key(self, label: str) -> _TokenKey:
        # Made from the label, which nothing else has: so key and label are there together or not at all.
        key_id = hashlib.sha256(label.encode()).digest()[:20]
        with self.translated():
            curve = self._session.create_domain_parameters(KeyType.EC, {Attribute.EC_PARAMS: _P256}, local=True)
            public, private = curve.generate_keypair(store=True, label=label, id=key_id)
            if private[Attribute.EXTRACTABLE] or not private[Attribute.SENSITIVE]:
                public.destroy()
                private.destroy()
                raise StoreTrouble("token-key-not-usable", store=self.spec)
            return _TokenKey(self, private, bytes(public[Attribute.EC_POINT]))

    def find_key(self, label: str, known: frozenset[bytes]) -> _TokenKey | None:
        del known
        with self.translated():
            found = self._objects(ObjectClass.PRIVATE_KEY, label=label)
            return self.key(bytes(found[0][Attribute.ID])) if found else None

    def key(self, key_id: bytes) -> _TokenKey | None:
        with self.translated():
            private = self._objects(ObjectClass.PRIVATE_KEY, id=key_id)
            if not private:
                return None
            public = self._objects(ObjectClass.PUBLIC_KEY, id=key_id)
            if public:
                return _TokenKey(self, private[0], bytes(public[0][Attribute.EC_POINT]))
            return None

    def put(self, key_id: bytes, name: str, certificate: bytes, chain: Sequence[bytes]) -> None:
        del chain  # a card has room for what is asked of it
        if Entry(key_id, certificate) in self.entries():
            return
        read = x509.load_der_x509_certificate(certificate)
        serial = read.serial_number.to_bytes(read.serial_number.bit_length() // 8 + 1)
        with self.translated():
            self._session.create_object(
                {
                    Attribute.CLASS: ObjectClass.CERTIFICATE,
                    Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
                    Attribute.TOKEN: True,
                    Attribute.PRIVATE: False,
                    Attribute.LABEL: name,
                    Attribute.ID: key_id,
                    Attribute.SUBJECT: read.subject.public_bytes(Encoding.DER),
                    Attribute.ISSUER: read.issuer.public_bytes(Encoding.DER),
                    # DER INTEGER, as PKCS#11 wants it.
                    Attribute.SERIAL_NUMBER: bytes([2, len(serial)]) + serial,
                    Attribute.VALUE: certificate,
                }
            )
        if Entry(key_id, certificate) not in self.entries():
            raise StoreTrouble("store-failed", store=self.spec, detail="the certificate cannot be read back")

    def entries(self) -> list[Entry]:
        """Return the certificates; a token shows its keys only after the PIN, so what has an id counts."""
        with self.translated():
            return [
                Entry(bytes(one[Attribute.ID]), bytes(one[Attribute.VALUE]))
                for one in self._objects(ObjectClass.CERTIFICATE)
                if one[Attribute.ID]
            ]

    def has_certificate(self, der: bytes) -> bool:
        del der
        return True

    def remove(self, key_id: bytes) -> None:
        with self.translated():
            for kind in (ObjectClass.CERTIFICATE, ObjectClass.PUBLIC_KEY, ObjectClass.PRIVATE_KEY):
                for one in self._objects(kind, id=key_id):
                    one.destroy()

    def close(self) -> None:
        if self._session is not None:
            with suppress(exceptions.PKCS11Error):
                self._session.close()
            self._session = None
            # So that a TPM without a resource manager gets its slots back, and a card is free for the browser.
            with suppress(exceptions.PKCS11Error):
                pkcs11.unload(self.module)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _load(module: str) -> Any:
    if not Path(module).exists():
        raise StoreTrouble("store-missing", store=f"pkcs11:{module}")
    try:
        return pkcs11.lib(module)
    except (exceptions.PKCS11Error, RuntimeError) as unusable:
        detail = type(unusable).__name__
        raise StoreTrouble("store-failed", store=f"pkcs11:{module}", detail=detail) from unusable


def _choose(library: Any, module: str, label: str | None) -> Any:
    """Return the token of a label, or the only one that has been initialised."""
    spec = f"pkcs11:{module}" + (f":{label}" if label else "")
    try:
        tokens = [slot.get_token() for slot in library.get_slots(token_present=True)]
    except exceptions.PKCS11Error as error:
        raise StoreTrouble("store-failed", store=spec, detail=type(error).__name__) from error
    ready = [token for token in tokens if token.flags & TokenFlag.TOKEN_INITIALIZED]
    fitting = [token for token in ready if label is None or token.label == label]
    if not fitting:
        raise StoreTrouble("store-missing", store=spec)
    if len(fitting) > 1:
        labels = ", ".join(sorted(token.label for token in fitting))
        raise StoreTrouble("store-several-tokens", store=spec, labels=labels)
    return fitting[0]


def _public_key(spec: str, point: bytes) -> ec.EllipticCurvePublicKey:
    """Return a P-256 key from CKA_EC_POINT: a DER OCTET STRING, or bare as some tokens give it."""
    bare = point[2:] if len(point) == _UNCOMPRESSED_P256 + 2 else point
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), bare)
    except ValueError as unusable:
        raise StoreTrouble("token-key-not-usable", store=spec) from unusable
