"""The part of NSS's own library that Tegata calls, through ctypes.

NSS is there wherever Firefox or Chromium is, its functions have kept their
signatures for decades, and what it makes inside a database no other program
ever sees: no key and no password passes through a file or a command line.
The names of functions, flags and error codes are those of NSS's headers
(pk11pub.h, pkcs11t.h, secerr.h).
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_uint, c_ulong, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

from tegata.errors import StoreTrouble

# Firefox brings its own where the system has none.
_FOLDERS = ("", "/usr/lib/firefox-esr/", "/usr/lib/firefox/", "/usr/lib64/firefox/", "/opt/firefox/")
_SIBLINGS = ("libnspr4.so", "libplc4.so", "libplds4.so", "libnssutil3.so", "libmozsqlite3.so")

SUCCESS = 0
NO_MODULE_DATABASE = 0x4
NO_ROOT_MODULE = 0x10

GENERIC_OBJECT = 0
CKO_CERTIFICATE, CKO_PUBLIC_KEY, CKO_PRIVATE_KEY = 1, 2, 3
CKA_VALUE, CKA_LABEL, CKA_ID = 0x11, 0x3, 0x102
CKM_EC_KEY_PAIR_GEN = 0x1040
# PK11_ATTR_TOKEN, _PRIVATE, _SENSITIVE, _UNEXTRACTABLE
STAYS_INSIDE = 0x1 | 0x4 | 0x40 | 0x200

BAD_PASSWORD = -8177


class Item(Structure):
    """SECItem."""

    _fields_ = (("type", c_int), ("data", c_void_p), ("len", c_uint))

    @classmethod
    def of(cls, content: bytes) -> Item:
        """Return an item over a copy of some bytes, which lives as long as the item."""
        buffer = ctypes.create_string_buffer(content, len(content))
        item = cls(0, ctypes.cast(buffer, c_void_p), len(content))
        item.buffer = buffer
        return item

    def content(self) -> bytes:
        """Return its bytes."""
        return ctypes.string_at(self.data, self.len) if self.data and self.len else b""


_ITEM = POINTER(Item)
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "CERT_DestroyCertificate": (None, (c_void_p,)),
    "NSS_Initialize": (c_int, (c_char_p, c_char_p, c_char_p, c_char_p, c_uint)),
    "NSS_IsInitialized": (c_int, ()),
    "NSS_Shutdown": (c_int, ()),
    "PK11_CheckUserPassword": (c_int, (c_void_p, c_char_p)),
    "PK11_DeleteTokenPrivateKey": (c_int, (c_void_p, c_int)),
    "PK11_DestroyGenericObject": (c_int, (c_void_p,)),
    "PK11_DestroyGenericObjects": (c_int, (c_void_p,)),
    "PK11_DestroyTokenObject": (c_int, (c_void_p, c_ulong)),
    "PK11_FindCertFromDERCertItem": (c_void_p, (c_void_p, _ITEM, c_void_p)),
    "PK11_FindGenericObjects": (c_void_p, (c_void_p, c_ulong)),
    "PK11_FindKeyByKeyID": (c_void_p, (c_void_p, _ITEM, c_void_p)),
    "PK11_FreeSlot": (None, (c_void_p,)),
    "PK11_GenerateKeyPairWithOpFlags": (
        c_void_p,
        (c_void_p, c_ulong, c_void_p, POINTER(c_void_p), c_uint, c_ulong, c_ulong, c_void_p),
    ),
    "PK11_GetInternalKeySlot": (c_void_p, ()),
    "PK11_GetNextGenericObject": (c_void_p, (c_void_p,)),
    "PK11_GetObjectHandle": (c_ulong, (c_int, c_void_p, c_void_p)),
    "PK11_ImportDERCert": (c_int, (c_void_p, _ITEM, c_ulong, c_char_p, c_int)),
    "PK11_InitPin": (c_int, (c_void_p, c_char_p, c_char_p)),
    "PK11_IsReadOnly": (c_int, (c_void_p,)),
    "PK11_NeedLogin": (c_int, (c_void_p,)),
    "PK11_NeedUserInit": (c_int, (c_void_p,)),
    "PK11_ReadRawAttribute": (c_int, (c_int, c_void_p, c_ulong, _ITEM)),
    "PK11_SetPrivateKeyNickname": (c_int, (c_void_p, c_char_p)),
    "PK11_Sign": (c_int, (c_void_p, _ITEM, _ITEM)),
    "PK11_SignatureLen": (c_int, (c_void_p,)),
    "SECITEM_FreeItem": (None, (_ITEM, c_int)),
    "SECKEY_ConvertToPublicKey": (c_void_p, (c_void_p,)),
    "SECKEY_DestroyPrivateKey": (None, (c_void_p,)),
    "SECKEY_DestroyPublicKey": (None, (c_void_p,)),
    "SECKEY_EncodeDERSubjectPublicKeyInfo": (_ITEM, (c_void_p,)),
    "SEC_DeletePermCertificate": (c_int, (c_void_p,)),
}


class Nss:
    """NSS with its functions as attributes; `last_error()` is NSS's own number for what went wrong."""

    def __init__(self, folder: str) -> None:
        if folder:
            for sibling in _SIBLINGS:
                if Path(folder + sibling).exists():
                    ctypes.CDLL(folder + sibling, ctypes.RTLD_GLOBAL)
        self._library = ctypes.CDLL(folder + "libnss3.so")
        self.last_error = _portable_runtime(folder).PR_GetError
        self.last_error.restype, self.last_error.argtypes = c_int, ()
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(self._library, name)
            function.restype, function.argtypes = result, arguments

    def __getattr__(self, name: str) -> Any:
        if name not in _FUNCTIONS:
            raise AttributeError(name)
        return getattr(self._library, name)

    def attribute(self, generic: Any, kind: int) -> bytes:
        """Return an attribute of an object, empty where it has none or hides it."""
        item = Item()
        if self.PK11_ReadRawAttribute(GENERIC_OBJECT, generic, kind, byref(item)) != SUCCESS:
            return b""
        content = item.content()
        self.SECITEM_FreeItem(byref(item), 0)
        return content

    def destroy(self, slot: Any, kind: int, key_id: bytes) -> bool:
        """Destroy every object of a class and id; tell whether none is left."""
        first = self.PK11_FindGenericObjects(slot, kind)
        handles, one = [], first
        while one:
            if self.attribute(one, CKA_ID) == key_id:
                handles.append(self.PK11_GetObjectHandle(GENERIC_OBJECT, one, None))
            one = self.PK11_GetNextGenericObject(one)
        if first:
            self.PK11_DestroyGenericObjects(first)
        return all(self.PK11_DestroyTokenObject(slot, handle) == SUCCESS for handle in handles)

    def objects(self, slot: Any, kind: int, *attributes: int) -> list[tuple[bytes, ...]]:
        """Return these attributes of every object of a class."""
        first = self.PK11_FindGenericObjects(slot, kind)
        found, one = [], first
        while one:
            found.append(tuple(self.attribute(one, attribute) for attribute in attributes))
            one = self.PK11_GetNextGenericObject(one)
        if first:
            self.PK11_DestroyGenericObjects(first)
        return found


def _portable_runtime(folder: str) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(folder + "libnspr4.so")
    except OSError:
        return ctypes.CDLL("libnspr4.so")


@cache
def load() -> Nss:
    """Load NSS. Raises `StoreTrouble` where this computer has none."""
    for folder in _FOLDERS:
        try:
            return Nss(folder)
        except OSError:
            continue
    raise StoreTrouble("store-missing", store="NSS (libnss3)")
