"""The certificate database of Chromium or Firefox.

NSS makes the key inside the database and marks it as not extractable. That
is a mark and no promise: NSS 3.87 reads it nowhere, and `pk12util -o` gives
the key out all the same; the database is a file besides, and whoever copies
the folder has the key. So no more than `file` is claimed for it.
"""

from __future__ import annotations

import os
from ctypes import byref, c_void_p, cast, pointer
from typing import TYPE_CHECKING, Any, Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key

from tegata.errors import StoreTrouble
from tegata.stores import nss_library as c
from tegata.stores.interface import Entry, Held

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

# ECParameters: the object identifier of P-256, DER.
_P256 = bytes.fromhex("06082a8648ce3d030107")
_FILES = ("cert9.db", "key4.db")


class _NssKey:
    """A key of the database. It holds NSS's reference until the store is closed."""

    def __init__(self, store: NssStore, handle: Any, key_id: bytes) -> None:
        self._store = store
        self._handle = handle
        self.id = key_id
        self.public_key = store.public_key_of(handle)

    def sign_digest(self, digest: bytes) -> bytes:
        nss = self._store.nss
        signature = c.Item.of(bytes(nss.PK11_SignatureLen(self._handle)))
        if nss.PK11_Sign(self._handle, byref(signature), byref(c.Item.of(digest))) != c.SUCCESS:
            raise self._store.trouble()
        raw = signature.content()
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))


class NssStore:
    """The database in one folder. One at a time can be open in a process."""

    held = Held.FILE

    def __init__(self, folder: Path, ask_pin: Callable[[str], str] | None, *, create: bool) -> None:
        self.folder = folder
        self.spec = f"nss:{folder}"
        self.nss = c.load()
        self._slot: Any = None
        self._keys: list[Any] = []
        self._opened = False
        new = not (folder / _FILES[0]).exists()
        if new:
            if not create:
                raise StoreTrouble("store-missing", store=self.spec)
            self._make_folder()
        options = c.NO_MODULE_DATABASE | c.NO_ROOT_MODULE
        where = f"sql:{folder}".encode()
        if self.nss.NSS_Initialize(where, b"", b"", b"secmod.db", options) != c.SUCCESS:
            raise self.trouble()
        self._opened = True
        try:
            self._unlock(ask_pin)
        except BaseException:
            self.close()
            raise

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as denied:
            raise StoreTrouble("store-read-only", store=self.spec) from denied
        if not os.access(self.folder, os.W_OK):
            raise StoreTrouble("store-read-only", store=self.spec)

    def _unlock(self, ask_pin: Callable[[str], str] | None) -> None:
        self._slot = self.nss.PK11_GetInternalKeySlot()
        if not self._slot:
            raise self.trouble()
        if self.nss.PK11_NeedUserInit(self._slot):
            # As a browser does with a new database: no primary password.
            if self.nss.PK11_InitPin(self._slot, None, b"") != c.SUCCESS:
                raise self.trouble()
        elif self.nss.PK11_NeedLogin(self._slot):
            if ask_pin is None:
                raise StoreTrouble("store-pin-missing", store=self.spec)
            pin = ask_pin(self.spec)
            if self.nss.PK11_CheckUserPassword(self._slot, pin.encode()) != c.SUCCESS:
                raise StoreTrouble("store-pin-wrong", store=self.spec)

    def trouble(self) -> StoreTrouble:
        """Return what NSS's last error means for a person."""
        number = self.nss.last_error()
        if number == c.BAD_PASSWORD:
            return StoreTrouble("store-pin-wrong", store=self.spec)
        if self._is_read_only():
            return StoreTrouble("store-read-only", store=self.spec)
        if self._is_full():
            return StoreTrouble("store-full", store=self.spec)
        return StoreTrouble("store-failed", store=self.spec, detail=f"NSS {number}")

    def _is_read_only(self) -> bool:
        """Ask the file system, since NSS has one error for whatever its database says."""
        return any(
            not os.access(self.folder / name, os.W_OK) for name in (*_FILES, "") if (self.folder / name).exists()
        )

    def _is_full(self) -> bool:
        """Try to write as much as a key takes."""
        probe = self.folder / ".tegata-space"
        try:
            probe.write_bytes(bytes(64 * 1024))
        except OSError:
            return True
        finally:
            probe.unlink(missing_ok=True)
        return False

    def public_key_of(self, handle: Any) -> ec.EllipticCurvePublicKey:
        """Return the public half of one of NSS's keys."""
        public = self.nss.SECKEY_ConvertToPublicKey(handle)
        if not public:
            raise self.trouble()
        spki = self.nss.SECKEY_EncodeDERSubjectPublicKeyInfo(public)
        self.nss.SECKEY_DestroyPublicKey(public)
        if not spki:
            raise self.trouble()
        der = spki.contents.content()
        self.nss.SECITEM_FreeItem(spki, 1)
        key = load_der_public_key(der)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise StoreTrouble("token-key-not-usable", store=self.spec)
        return key

    def _labels(self) -> dict[bytes, str]:
        found = self.nss.objects(self._slot, c.CKO_PRIVATE_KEY, c.CKA_ID, c.CKA_LABEL)
        return {key_id: label.decode(errors="replace") for key_id, label in found if key_id}

    def key_ids(self) -> frozenset[bytes]:
        return frozenset(self._labels())

    def make_key(self, label: str) -> _NssKey:
        if self.nss.PK11_IsReadOnly(self._slot):
            raise StoreTrouble("store-read-only", store=self.spec)
        curve, public = c.Item.of(_P256), c_void_p()
        before = self.key_ids()
        handle = self.nss.PK11_GenerateKeyPairWithOpFlags(
            self._slot, c.CKM_EC_KEY_PAIR_GEN, cast(pointer(curve), c_void_p), byref(public), c.STAYS_INSIDE, 0, 0, None
        )
        if not handle:
            raise self.trouble()
        self._keys.append(handle)
        self.nss.SECKEY_DestroyPublicKey(public)
        (key_id,) = self.key_ids() - before
        if self.nss.PK11_SetPrivateKeyNickname(handle, label.encode()) != c.SUCCESS:
            trouble = self.trouble()
            self.remove(key_id)
            raise trouble
        return _NssKey(self, handle, key_id)

    def find_key(self, label: str, known: frozenset[bytes]) -> _NssKey | None:
        labels = self._labels()
        # NSS gives a key its label in a second step: one that died before it has none.
        certified = {entry.key_id for entry in self.entries()}
        for key_id, has in labels.items():
            if has == label or (not has and key_id not in known and key_id not in certified):
                return self.key(key_id)
        return None

    def key(self, key_id: bytes) -> _NssKey | None:
        handle = self.nss.PK11_FindKeyByKeyID(self._slot, byref(c.Item.of(key_id)), None)
        if not handle:
            return None
        self._keys.append(handle)
        return _NssKey(self, handle, key_id)

    def put(self, key_id: bytes, name: str, certificate: bytes, chain: Sequence[bytes]) -> None:
        present = {der for (der,) in self.nss.objects(self._slot, c.CKO_CERTIFICATE, c.CKA_VALUE)}
        for number, der in enumerate(chain):
            if der not in present:
                # Without any trust: a browser shall find the chain, and believe no site because of it.
                self._import(der, f"{name} CA {number + 1}")
        if certificate not in present:
            self._import(certificate, name)
        if Entry(key_id, certificate) not in self.entries():
            raise StoreTrouble("store-failed", store=self.spec, detail="NSS did not join certificate and key")

    def _import(self, der: bytes, nickname: str) -> None:
        if self.nss.PK11_ImportDERCert(self._slot, byref(c.Item.of(der)), 0, nickname.encode(), 0) != c.SUCCESS:
            raise self.trouble()

    def entries(self) -> list[Entry]:
        keys = self.key_ids()
        found = self.nss.objects(self._slot, c.CKO_CERTIFICATE, c.CKA_ID, c.CKA_VALUE)
        return [Entry(key_id, der) for key_id, der in found if key_id in keys]

    def has_certificate(self, der: bytes) -> bool:
        return (der,) in self.nss.objects(self._slot, c.CKO_CERTIFICATE, c.CKA_VALUE)

    def remove(self, key_id: bytes) -> None:
        for entry in self.entries():
            if entry.key_id == key_id:
                certificate = self.nss.PK11_FindCertFromDERCertItem(self._slot, byref(c.Item.of(entry.der)), None)
                if certificate:
                    gone = self.nss.SEC_DeletePermCertificate(certificate)
                    self.nss.CERT_DestroyCertificate(certificate)
                    if gone != c.SUCCESS:
                        raise self.trouble()
        if not self.nss.destroy(self._slot, c.CKO_PUBLIC_KEY, key_id):
            raise self.trouble()
        handle = self.nss.PK11_FindKeyByKeyID(self._slot, byref(c.Item.of(key_id)), None)
        # This call frees the reference, too.
        if handle and self.nss.PK11_DeleteTokenPrivateKey(handle, 1) != c.SUCCESS:
            raise self.trouble()

    def close(self) -> None:
        for handle in self._keys:
            self.nss.SECKEY_DestroyPrivateKey(handle)
        self._keys.clear()
        if self._slot:
            self.nss.PK11_FreeSlot(self._slot)
            self._slot = None
        if self._opened:
            self.nss.NSS_Shutdown()
            self._opened = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
