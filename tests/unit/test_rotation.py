"""A newer issuing CA: its name and addresses, who signs what, what is written to the CA, and its files."""

from __future__ import annotations

import os
import signal
import struct
import sys
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.authority import BANK, NOW, PKI_URL, new_hierarchy, order

from sekisho.ca import answers, keys, lists, wire
from sekisho.ca.authority import Authority
from sekisho.ca.journal import Journal
from sekisho.ca.signer import Signer
from sekisho.cli import installation
from sekisho.domain.issuing_ca import IssuingCa
from sekisho.domain.person import Kind
from sekisho.domain.policy import Policy
from sekisho.pki import hierarchy, ocsp
from sekisho.pki.authority_request import NotOfThisBank, check_issuing, read_request, write_request
from sekisho.pki.crl import ListRefused, list_name
from sekisho.pki.linting.authority import guard_issuing
from sekisho.pki.linting.finding import LintFailed
from sekisho.pki.profile import ProfileBroken, authority_name
from sekisho.pki.profile import issuing as profile_issuing
from sekisho.settings import on_localhost

if TYPE_CHECKING:
    from pathlib import Path

    from sekisho.settings import Settings

MADE = new_hierarchy()
SECOND = IssuingCa(Kind.USER, 2)


def certified(generation: int = 2, key: ec.EllipticCurvePrivateKey | None = None) -> hierarchy.KeyAndCertificate:
    key = key or ec.generate_private_key(ec.SECP256R1())
    certificate = hierarchy.certify_issuing(
        MADE.root,
        BANK,
        Kind.USER,
        key.public_key(),
        pki_url=PKI_URL,
        now=NOW,
        entropy=os.urandom,
        generation=generation,
    )
    return hierarchy.KeyAndCertificate(key, certificate)


PAIR = certified()
ROTATED = Signer(BANK, MADE.cas | {SECOND: PAIR}, PKI_URL, now=lambda: NOW)


def test_no_two_issuing_cas_share_a_name_an_address_or_a_list() -> None:
    cas = [IssuingCa(kind, generation) for kind in Kind for generation in (1, 2, 22)]
    assert len({authority_name(BANK, *ca) for ca in cas}) == len(cas)
    addresses = [hierarchy.addresses(BANK.code, ca.kind, PKI_URL, ca.generation) for ca in cas]
    assert len({one.issuer for one in addresses}) == len(cas)
    named = [one.crl(shard) for one in addresses for shard in (None, 0, 2, 22, 999)]
    assert len(set(named)) == len(named)
    assert max(len(list_name(IssuingCa(kind, 99), 999)) for kind in Kind) <= 20, "what the table of lists holds"


def test_the_first_generation_keeps_its_names() -> None:
    addresses = hierarchy.addresses("9990", Kind.USER, PKI_URL)
    assert (addresses.issuer, addresses.crl(3)) == (f"{PKI_URL}/9990/user.cer", f"{PKI_URL}/9990/user-3.crl")
    assert wire.order_part(order())[0] == list(Kind).index(Kind.USER), "the journal has digests of these bytes"


def test_the_newer_one_has_the_same_profile_and_its_own_name() -> None:
    old, new = MADE.issuing[Kind.USER].certificate, PAIR.certificate
    new.verify_directly_issued_by(MADE.root.certificate)
    assert new.subject.rfc4514_string() == "CN=Sekisho 9990 Users CA 2,O=Mihon Shinkin Bank,C=JP"
    for kind in (x509.NameConstraints, x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage):
        assert new.extensions.get_extension_for_class(kind) == old.extensions.get_extension_for_class(kind)


def test_the_linter_knows_which_generation_is_certified() -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    root, above = MADE.root, hierarchy.root_addresses(BANK.code, PKI_URL)
    guard = guard_issuing(
        root.key,
        BANK,
        Kind.USER,
        key=key,
        serial=7,
        now=NOW,
        root=root.certificate,
        root_addresses=above,
        generation=2,
    )
    named: dict[str, Any] = {"root_certificate": root.certificate, "root_addresses": above}
    with pytest.raises(LintFailed) as told:
        profile_issuing(BANK, Kind.USER, key, 7, NOW, **named, generation=3).sign(guard, hashes.SHA384())
    assert [one.rule for one in told.value.findings] == ["subject"]
    assert profile_issuing(BANK, Kind.USER, key, 7, NOW, **named, generation=2).sign(guard, hashes.SHA384())


@pytest.mark.parametrize("generation", [1, 2])
def test_the_order_says_which_issuing_ca_signs(generation: int) -> None:
    asked = order(generation=generation)
    assert wire.read_order(wire.order_part(asked)) == asked
    leaf = x509.load_der_x509_certificate(ROTATED.sign(asked))
    ca = IssuingCa(Kind.USER, generation)
    issuer = (MADE.cas | {SECOND: PAIR})[ca].certificate
    leaf.verify_directly_issued_by(issuer)
    information = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert [one.access_location.value for one in information][1] == f"{PKI_URL}/9990/{ca.name}.cer"
    (point,) = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert [one.value for one in point.full_name or ()] == [f"{PKI_URL}/9990/{ca.name}.crl"]


def test_an_issuing_ca_that_there_is_not_signs_nothing() -> None:
    with pytest.raises(ProfileBroken, match="issuing CA"):
        ROTATED.sign(order(generation=3))
    with pytest.raises(ListRefused, match="issuing CA"):
        ROTATED.sign_crl(
            Kind.ADMINISTRATOR,
            None,
            b"",
            number=int(NOW.timestamp()),
            this_update=NOW,
            next_update=NOW + timedelta(days=1),
            generation=2,
        )


def test_what_stands_in_the_journal_keeps_its_bytes(tmp_path: Path) -> None:
    waiting = order()
    (tmp_path / "journal").mkdir()
    journal = Journal(tmp_path / "journal", b"k" * 32)
    (before,) = Authority(Signer(BANK, MADE.cas, PKI_URL, now=lambda: NOW), journal, now=lambda: NOW).sign_all(
        [waiting]
    )
    rotated = Authority(ROTATED, journal, now=lambda: NOW)
    assert rotated.sign_all([waiting]) == [before]
    (other,) = rotated.sign_all([order(serial=waiting.serial, spki=waiting.spki, generation=2)])
    assert isinstance(other, Exception), "one serial number is signed for one order alone"
    journal.close()


def test_new_orders_are_for_the_newest() -> None:
    policy = Policy(issuing_cas=(*Policy().issuing_cas, SECOND))
    assert {kind: policy.generation_for(kind) for kind in Kind} == {Kind.ADMINISTRATOR: 1, Kind.USER: 2}


def test_a_request_says_which_issuing_ca_it_is_for() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    assert read_request(write_request(BANK, SECOND, key), BANK) == (SECOND, key.public_key())
    held: dict[str, Any] = {"root": MADE.root.certificate, "pki_url": PKI_URL, "now": NOW}
    public = PAIR.key.public_key()
    check_issuing(PAIR.certificate, BANK, SECOND, public, **held)
    with pytest.raises(NotOfThisBank, match="something else than the profile"):
        check_issuing(PAIR.certificate, BANK, IssuingCa(Kind.USER, 3), public, **held)


def test_what_is_prepared_is_taken_once_and_nothing_waits_twice(tmp_path: Path) -> None:
    keys.save(tmp_path, MADE)
    assert keys.next_generations(tmp_path, [Kind.USER]) == [SECOND]
    pair = certified(key=keys.prepare(tmp_path, SECOND, None))
    keys.prepare_certificate(tmp_path, SECOND, pair.certificate)
    for kinds in ([Kind.USER], list(Kind)):
        with pytest.raises(FileExistsError):
            keys.next_generations(tmp_path, kinds)
    assert keys.load_issuing(tmp_path).keys() == MADE.cas.keys(), "until the CA starts it signs nothing"
    assert keys.take_prepared(tmp_path) == [SECOND]
    assert keys.take_prepared(tmp_path) == []
    assert keys.load_issuing(tmp_path)[SECOND].certificate == pair.certificate
    assert keys.next_generations(tmp_path, [Kind.USER]) == [IssuingCa(Kind.USER, 3)]


def rotated_until(loaded: Settings, step: int) -> bool:
    """Rotate in a process that is killed before its `step`th change of the folder; False where it was done by then."""
    child = os.fork()
    if child == 0:
        steps = iter(range(step))

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            makes = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT
            if not makes and event not in {"os.rename", "os.link", "os.remove"}:
                return
            if str(loaded.ca_dir) in str(arguments[0]) and next(steps, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        try:
            installation.rotate(loaded, list(Kind))
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert status in {0, signal.SIGKILL}
    return status != 0


@pytest.mark.parametrize("root_at_hand", [True, False], ids=["certified", "requested"])
def test_a_rotation_that_was_killed_at_any_step_is_run_again_and_leaves_nothing_over(
    tmp_path: Path, *, root_at_hand: bool
) -> None:
    cut_short = 0
    while True:
        folder = tmp_path / str(cut_short)
        loaded = on_localhost(folder, BANK.code, BANK.organization, 8440)
        keys.save(loaded.ca_dir, MADE)
        if not root_at_hand:
            (loaded.ca_dir / "root.key.pem").unlink()
        before = set(loaded.ca_dir.iterdir())
        if not rotated_until(loaded, cut_short):
            break
        left = {file: file.read_bytes() for file in loaded.ca_dir.glob("*2.key.pem")}
        done = installation.rotate(loaded, list(Kind))
        assert done, "what was left undone was done"
        assert {file: file.read_bytes() for file in left} == left, "a key that was left is used"
        ending = "prepared.pem" if root_at_hand else "csr.pem"
        made = {f"{kind.value}2.{of}" for kind in Kind for of in ("key.pem", ending)}
        made |= {"root.crl"} if root_at_hand else set()
        assert {file.name for file in set(loaded.ca_dir.iterdir()) - before} == made
        with pytest.raises(FileExistsError):
            installation.rotate(loaded, list(Kind))
        if root_at_hand:
            assert len(keys.take_prepared(loaded.ca_dir)) == len(Kind)
            assert len(keys.load_issuing(loaded.ca_dir)) == 2 * len(Kind)
        cut_short += 1
    assert cut_short >= 10, "two keys and two documents, each made and put into its place"


def test_questions_to_the_ca_name_the_issuing_ca() -> None:
    asked = ocsp.Answer(Kind.USER, ocsp.Digest.SHA256, 7, ocsp.Status.GOOD, timedelta(hours=1), generation=2)
    assert answers.read(answers.part(asked)) == asked
    wanted = lists.Asked(Kind.ADMINISTRATOR, 3, b"", 7, NOW, NOW + timedelta(days=1), generation=99)
    assert lists.read(lists.part(wanted)) == wanted
    with pytest.raises((ValueError, struct.error)):
        wire.order_part(order(generation=0, kind=Kind.ADMINISTRATOR))
    (refused,) = ROTATED.answer_all([replace(asked, generation=3)])
    assert isinstance(refused, ProfileBroken)
