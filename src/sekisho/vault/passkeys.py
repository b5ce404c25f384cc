"""Passkeys (WebAuthn Level 3): what a browser is asked for, and whether what it answers holds.

The user has to be verified by the device (a PIN or a biometric), and the
page's origin has to be the site's own to the letter. No attestation is asked
for: which device it is says nothing that a bank would decide by.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fido2.server import Fido2Server
from fido2.utils import websafe_encode
from fido2.webauthn import (
    AttestationConveyancePreference,
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

CHALLENGE = 32
_REQUIRED = UserVerificationRequirement.REQUIRED
# A credential ID is at most so long (WebAuthn section 4, "Credential ID").
_LONGEST_ID = 1023
_LONGEST_ANSWER = 16_384


class PasskeyWrong(Exception):  # noqa: N818 - names what is the case
    """The answer is not what this passkey, for this question, on this site would give."""


@dataclass(frozen=True, slots=True)
class NewPasskey:
    """What is kept of a passkey: its ID, the data with its public key, and how often it says it was used."""

    credential_id: bytes
    credential: bytes
    sign_count: int


@dataclass(frozen=True, slots=True)
class Used:
    """Which passkey answered, and how often it says it was used."""

    credential_id: bytes
    sign_count: int


class PasskeyJudge:
    """Asks and judges for one site; its host is the relying party."""

    def __init__(self, url: str, name: str) -> None:
        relying_party = PublicKeyCredentialRpEntity(name=name, id=urlsplit(url).hostname or "")
        self._server = Fido2Server(
            relying_party,
            attestation=AttestationConveyancePreference.NONE,
            verify_origin=lambda origin: origin == url,
        )

    def question_for_new(self, challenge: bytes, handle: bytes, account: str, known: Sequence[bytes]) -> str:
        """Return, as JSON, what navigator.credentials.create() is given; `known` are the passkeys there are already."""
        options, _ = self._server.register_begin(
            PublicKeyCredentialUserEntity(id=handle, name=account, display_name=account),
            credentials=[AttestedCredentialData(one) for one in known],
            resident_key_requirement=ResidentKeyRequirement.DISCOURAGED,
            user_verification=_REQUIRED,
            challenge=challenge,
        )
        return _as_json(options.public_key)

    def question(self, challenge: bytes, known: Sequence[bytes]) -> str:
        """Return, as JSON, what navigator.credentials.get() is given."""
        options, _ = self._server.authenticate_begin(
            [AttestedCredentialData(one) for one in known], user_verification=_REQUIRED, challenge=challenge
        )
        return _as_json(options.public_key)

    def judge_new(self, challenge: bytes, answer: str) -> NewPasskey:
        """Return the passkey that was made for this challenge. Raises `PasskeyWrong`."""
        try:
            made = self._server.register_complete(_state(challenge), RegistrationResponse.from_dict(_read(answer)))
            credential = made.credential_data
        except Exception as wrong:  # whatever a stranger's bytes make the parser raise
            raise PasskeyWrong from wrong
        if credential is None or len(credential.credential_id) > _LONGEST_ID:
            raise PasskeyWrong
        return NewPasskey(credential.credential_id, bytes(credential), made.counter)

    def judge(self, challenge: bytes, known: Sequence[bytes], answer: str) -> Used:
        """Return which of the known passkeys answered this challenge. Raises `PasskeyWrong`."""
        try:
            response = AuthenticationResponse.from_dict(_read(answer))
            credentials = [AttestedCredentialData(one) for one in known]
            used = self._server.authenticate_complete(_state(challenge), credentials, response)
        except Exception as wrong:
            raise PasskeyWrong from wrong
        return Used(used.credential_id, response.response.authenticator_data.counter)


def credential_named(answer: str) -> bytes | None:
    """Return which new passkey an answer speaks of, whether or not it holds; None where it speaks of none."""
    try:
        named: bytes = RegistrationResponse.from_dict(_read(answer)).raw_id
    except Exception:  # noqa: BLE001 - whatever a stranger's bytes make the parser raise
        return None
    return named


def count_grew(kept: int, told: int) -> bool:
    """Tell whether a count of uses fits the last one: one that falls back is a copy's (WebAuthn section 6.1.1)."""
    return told > kept or told == kept == 0


def _state(challenge: bytes) -> dict[str, Any]:
    return {"challenge": websafe_encode(challenge), "user_verification": _REQUIRED}


def _read(answer: str) -> dict[str, Any]:
    if len(answer) > _LONGEST_ANSWER:
        raise ValueError("too long")
    read = json.loads(answer)
    if not isinstance(read, dict):
        raise TypeError("no object")
    return read


def _as_json(options: Any) -> str:
    return json.dumps(dict(options))
