"""The root's revocation list in an installation: the first one, the next ones, and those that come from elsewhere."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sekisho import wiring_ca
from sekisho.ca import keys, root_list_file
from sekisho.cli.ceremony_of_lists import Asked
from sekisho.cli.ceremony_of_lists import revoke as revoke_by_two
from sekisho.pki import hierarchy, root_list
from sekisho.pki.authority_request import NotOfThisBank
from sekisho.settings import DataFolderDamaged
from sekisho.store import audit, crls, revoked_cas
from sekisho.store.audit import Actor
from sekisho.usecases.take_root_list import take_root_list

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sekisho.domain.certificate import Reason
    from sekisho.domain.issuing_ca import IssuingCa
    from sekisho.pki.hierarchy import KeyAndCertificate
    from sekisho.pki.root_list import RootList
    from sekisho.settings import Settings
    from sekisho.usecases.ports import Ports

log = logging.getLogger("sekisho")


def root_at_hand(settings: Settings) -> KeyAndCertificate | None:
    """Return the root where its key lies in the data folder. Raises `DataFolderDamaged`."""
    folder = settings.ca_dir
    file = folder / "root.key.pem"
    if not file.exists():
        return None
    try:
        key = keys.read_pem(file.read_bytes(), wiring_ca.ca_passphrase(settings), file.name)
        certificate = keys.load_certificate(folder, hierarchy.ROOT)
    except ValueError as unusable:
        raise DataFolderDamaged(f"the keys in {folder} cannot be used: {unusable}") from unusable
    if key.public_key() != certificate.public_key():
        raise DataFolderDamaged(f"{file} is not the key of root.pem")
    return hierarchy.KeyAndCertificate(key, certificate)


def write_first(settings: Settings, root: KeyAndCertificate) -> None:
    """Write a list that names nothing, where the folder has none yet."""
    if find(settings) is None:
        root_list_file.write(settings.ca_dir, root_list.sign(root, None, now=datetime.now(UTC)))


def find(settings: Settings) -> RootList | None:
    """Return the list in the data folder. Raises `DataFolderDamaged`."""
    try:
        return root_list_file.find(settings.ca_dir, keys.load_certificate(settings.ca_dir, hierarchy.ROOT))
    except (ValueError, NotOfThisBank) as other:
        raise DataFolderDamaged(f"{settings.ca_dir / root_list_file.NAME} cannot be used: {other}") from other


def install(settings: Settings, ports: Ports, files: Sequence[Path], actor: Actor) -> list[IssuingCa]:
    """Take lists that the root signed elsewhere, and return the issuing CAs that they have just revoked.

    Raises `NotOfThisBank` where one is not this root's, or forgets what an earlier one named.
    """
    root = keys.load_certificate(settings.ca_dir, hierarchy.ROOT)
    revoked = []
    for file in files:
        try:
            revoked += _take(settings, ports, root_list.read(file.read_bytes(), root), actor)
        except NotOfThisBank as other:
            raise NotOfThisBank(f"{file}: {other}") from other
    return revoked


def renew(settings: Settings, ports: Ports, days: int, actor: Actor) -> RootList:
    """Have the root whose key is in the data folder sign its next list, and take it.

    Raises `NotOfThisBank` where the key is elsewhere.
    """
    root = root_at_hand(settings)
    if root is None:
        raise NotOfThisBank("the root's key is not here; where it is, run: sekisho ca ceremony list")
    last = _last(settings, ports)
    made = root_list.sign(root, last, now=datetime.now(UTC), life=timedelta(days=days))
    _take(settings, ports, made, actor)
    return made


def revoke(settings: Settings, ports: Ports, ca: IssuingCa, reason: Reason, days: int, out: Path, actor: Actor) -> None:
    """Have two people revoke an issuing CA with the root whose key is in the data folder. It counts at once.

    Raises `NotOfThisBank` where the key is elsewhere.
    """
    folder = settings.ca_dir
    root = root_at_hand(settings)
    if root is None:
        raise NotOfThisBank("the root's key is not here; where it is, run: sekisho ca ceremony revoke")
    last = _last(settings, ports)
    if last is not None:
        root_list_file.write(folder, last)
    file = None if last is None else folder / root_list_file.NAME
    made = revoke_by_two(Asked(folder, file, days, out, root), folder / f"{ca.name}.pem", reason)
    _take(settings, ports, made, actor)


def named(settings: Settings, name: str) -> IssuingCa:
    """Return the issuing CA of that name. Raises `NotOfThisBank`."""
    for ca in keys.installed(settings.ca_dir):
        if ca.name == name:
            return ca
    raise NotOfThisBank(f"there is no issuing CA {name} here")


def said_of(settings: Settings, ports: Ports, ca: IssuingCa) -> str:
    """Return what an operator has to know of an issuing CA that was just revoked."""
    newest = max(one for one in keys.installed(settings.ca_dir) if one.kind is ca.kind)
    with ports.db.read() as tx:
        none_signs = revoked_cas.has(tx, settings.bank, newest)
    if none_signs:
        return (
            f"{ca.name} is revoked, and nothing is issued for {ca.kind.value}s until another follows it: sekisho ca "
            f"rotate --kind {ca.kind.value}, then start Sekisho anew"
        )
    return f"{ca.name} is revoked; {newest.name} signs what is issued now"


def follow(settings: Settings, ports: Ports) -> None:
    """Have folder and database agree on the newest list: for a start, after a restore, and on each of several nodes."""
    last = _last(settings, ports)
    if last is None:
        return
    for ca in _take(settings, ports, last, Actor(audit.SYSTEM)):
        log.error("the issuing CA %s is revoked, as the root's list says: nothing that it signed counts", ca.name)


def _take(settings: Settings, ports: Ports, found: RootList, actor: Actor) -> list[IssuingCa]:
    root_list.check_follows(found, _last(settings, ports))
    # The CA's process first: should this be cut short, the next start goes on with it.
    if find(settings) != found:
        root_list_file.write(settings.ca_dir, found)
    issuing = {
        keys.load_certificate(settings.ca_dir, ca.name).serial_number: ca
        for ca in keys.installed(settings.ca_dir)
        # The first ones of a new installation may wait for theirs still.
        if (settings.ca_dir / f"{ca.name}.pem").exists()
    }
    return take_root_list(ports, bank=settings.bank, found=found, issuing=issuing, actor=actor)


def _last(settings: Settings, ports: Ports) -> RootList | None:
    """Return the newest list that folder or database have. Raises `DataFolderDamaged`."""
    root = keys.load_certificate(settings.ca_dir, hierarchy.ROOT)
    with ports.db.read() as tx:
        known = crls.find(tx, settings.bank, hierarchy.ROOT)
        der = None if known is None else crls.der_of(tx, settings.bank, hierarchy.ROOT, known.number)
    try:
        published = None if der is None else root_list.read(der, root)
    except NotOfThisBank as other:
        raise DataFolderDamaged(f"the root's list in the database cannot be used: {other}") from other
    both = [one for one in (find(settings), published) if one is not None]
    return max(both, key=lambda one: one.number, default=None)
