"""A passkey in software: answers a site's questions as a device would, and wrongly where a test asks for it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import Aaguid, AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData

FLAG = AuthenticatorData.FLAG


@dataclass
class Authenticator:
    """One passkey for the relying party `rp_id`; `origin` is the page that it believes to be on."""

    origin: str
    rp_id: str
    verifies_user: bool = True
    count: int = 0
    credential_id: bytes = field(default_factory=lambda: os.urandom(32))

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    def create(self, asked: str, **client: Any) -> str:
        """Answer navigator.credentials.create()."""
        options = json.loads(asked)
        public = ES256.from_cryptography_key(self._key.public_key())  # type: ignore[no-untyped-call] # publishes no types for it
        credential = AttestedCredentialData.create(Aaguid(bytes(16)), self.credential_id, public)
        data = AuthenticatorData.create(self._rp_hash, self._flags | FLAG.AT, self.count, credential)
        collected = self._client("webauthn.create", options["challenge"], client)
        response = {
            "clientDataJSON": websafe_encode(collected),
            "attestationObject": websafe_encode(AttestationObject.create("none", data, {})),
        }
        return self._answer(response)

    def get(self, asked: str, *, counts: int = 1, **client: Any) -> str:
        """Answer navigator.credentials.get()."""
        options = json.loads(asked)
        self.count += counts
        data = AuthenticatorData.create(self._rp_hash, self._flags, self.count)
        collected = self._client("webauthn.get", options["challenge"], client)
        signature = self._key.sign(data + collected.hash, ec.ECDSA(SHA256()))
        response = {
            "clientDataJSON": websafe_encode(collected),
            "authenticatorData": websafe_encode(data),
            "signature": websafe_encode(signature),
        }
        return self._answer(response)

    @property
    def _rp_hash(self) -> bytes:
        return sha256(self.rp_id.encode()).digest()

    @property
    def _flags(self) -> AuthenticatorData.FLAG:
        return FLAG.UP | FLAG.UV if self.verifies_user else FLAG.UP

    def _client(self, kind: str, challenge: str, changed: dict[str, Any]) -> CollectedClientData:
        origin = changed.get("origin", self.origin)
        return CollectedClientData.create(changed.get("kind", kind), websafe_decode(challenge), origin)

    def _answer(self, response: dict[str, str]) -> str:
        shown = websafe_encode(self.credential_id)
        return json.dumps(
            {
                "id": shown, "rawId": shown, "type": "public-key", "response": response, "clientExtensionResults": {},
            }
        )  # fmt: skip
