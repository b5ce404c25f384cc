"""The bank's own people in a world: each with a certificate of the staff's CA and a PIN."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding
from tests.support.world import ADDRESS, new_key

from sekisho.pki.profile import BankName
from sekisho.pki.staff import issue_staff, make_staff_ca
from sekisho.store.audit import Actor
from sekisho.store.staff import StaffCertificate
from sekisho.usecases.add_staff import NewStaff, add_staff
from sekisho.usecases.enter_console import enter_staff_pin, resume_work

if TYPE_CHECKING:
    from tests.support.world import World

    from sekisho.domain.staff import Role, Staff
    from sekisho.pki.hierarchy import KeyAndCertificate
    from sekisho.usecases.enter_console import AtWork

OPERATOR = Actor("operator:test")


@dataclass
class Colleague:
    """One of them, as registered, with what they hold and know."""

    office: Office
    staff: Staff
    der: bytes
    pin: str

    def log_on(self, pin: str | None = None) -> bytes:
        world = self.office.world
        return enter_staff_pin(world.ports, bank=world.bank, der=self.der, pin=pin or self.pin, address=ADDRESS)

    def resume(self, token: bytes | None) -> AtWork:
        world = self.office.world
        return resume_work(world.ports, bank=world.bank, der=self.der, token=token, address=ADDRESS)

    def at_work(self) -> AtWork:
        return self.resume(self.log_on())


@dataclass
class Office:
    """A world's bank with a staff CA."""

    world: World
    ca: KeyAndCertificate = field(init=False)
    issued: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ca = make_staff_ca(self.name, now=self.world.clock[0], entropy=os.urandom)

    @property
    def name(self) -> BankName:
        return BankName(self.world.bank.code, self.world.bank.name["en"])

    def issue(self, staff_id: str) -> StaffCertificate:
        made = issue_staff(
            self.ca,
            self.name,
            staff_id,
            new_key().public_key(),
            now=self.world.clock[0],
            life=timedelta(days=365),
            entropy=os.urandom,
        )
        der = self.issued[staff_id] = made.public_bytes(Encoding.DER)
        fingerprint = hashlib.sha256(der).digest()
        return StaffCertificate(
            made.serial_number, fingerprint, der, made.not_valid_before_utc, made.not_valid_after_utc
        )

    def add(self, staff_id: str, *roles: Role, branch: str | None = None, by: str | None = None) -> Colleague:
        new = NewStaff(staff_id, f"見本 {staff_id}", branch, roles)
        staff, pin = add_staff(self.world.ports, bank=self.world.bank, new=new, issue=self.issue, actor=OPERATOR, by=by)
        return Colleague(self, staff, self.issued[staff_id], pin)
