"""Every rule that says no.

    Refusal
    ├── CertificateRefused      the certificate at the door does not count
    ├── SessionRefused          the session is not, or no longer, good
    ├── NotAccepted             what was entered without a certificate, whatever was wrong with it
    ├── DoorClosed              閉塞 and 利用中止, told only behind a certificate
    ├── StaffRefused            not for this one of the bank's people
    ├── EntryRefused            something on a screen is to be entered again
    ├── PermitRefused           told only to whoever knows both PINs
    ├── KeyRefused              the key or the request for its certificate
    └── ServiceRefused          nothing wrong with the visitor

A `Refusal` is an answer; any other exception that reaches a site is a bug.
"""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):  # noqa: N818 - a refusal is not an error of the program
    """A rule said no; the caller can be told why. Anything else is a bug.

    `code` is published: it names the message shown, the JSON error and a
    row in docs/reference/refusals.md, so it is never renamed. `values` fill
    the placeholders of that message and carry no secret; `fields` names the
    fields of the screen that are to be entered again, each with the code of
    what is wrong there.
    """

    code: ClassVar[str]

    def __init__(self, *, fields: dict[str, str] | None = None, **values: object) -> None:
        super().__init__(self.code)
        self.values = values
        self.fields = fields or {}


class CertificateRefused(Refusal):
    """The certificate at the door does not count."""

    code = "certificate-not-in-force"


class CertificateMissing(CertificateRefused):
    """The visitor showed none."""

    code = "certificate-missing"


class CertificateUnknown(CertificateRefused):
    """Its exact bytes stand in no table of ours."""

    code = "certificate-unknown"


class CertificateNotConfirmed(CertificateRefused):
    """Renewed without a PIN: it opens nothing before its person has logged on once more with the one before."""

    code = "certificate-not-confirmed"


class CertificateWrongKind(CertificateRefused):
    """A user's at the administrator's door, or the other way round."""

    code = "certificate-wrong-kind"


class CertificateOtherBank(CertificateRefused):
    """Issued for another bank's door."""

    code = "certificate-other-bank"


class CertificateReissued(CertificateRefused):
    """Ended because a re-issue was permitted (reason superseded)."""

    code = "certificate-reissued"


class CertificateSuperseded(CertificateRefused):
    """Ended because a renewal or a move took its place."""

    code = "certificate-superseded"


class CertificateRevoked(CertificateRefused):
    """Ended for good."""

    code = "certificate-revoked"


class CertificateIssuerRevoked(CertificateRefused):
    """Ended with all others of the issuing CA that signed it, which was revoked."""

    code = "certificate-issuer-revoked"


class CertificateSuspended(CertificateRefused):
    """Shut out until that is lifted (RFC 5280: certificateHold)."""

    code = "certificate-suspended"


class CertificateExpired(CertificateRefused):
    """Its year is over."""

    code = "certificate-expired"


class CertificateNotYetValid(CertificateRefused):
    """Its life has not begun: one of the two clocks is wrong."""

    code = "certificate-not-yet-valid"


class SessionRefused(Refusal):
    """The session is not, or no longer, good: log on again."""

    code = "session-missing"


class SessionEndedIdle(SessionRefused):
    """Nothing was done for longer than the policy allows."""

    code = "session-ended-idle"


class SessionEndedAge(SessionRefused):
    """It was open for as long as the policy allows."""

    code = "session-ended-age"


class SessionEndedElsewhere(SessionRefused):
    """The same person logged on once more; the newer session wins."""

    code = "session-ended-elsewhere"


class SessionEndedCertificate(SessionRefused):
    """The certificate that opened it has ended."""

    code = "session-ended-certificate"


class SessionEndedByAdministrator(SessionRefused):
    """The administrator of the contract ended the user's session."""

    code = "session-ended-by-administrator"


class SessionCertificateDiffers(SessionRefused):
    """Shown with another certificate than the one that opened it."""

    code = "session-certificate-differs"


class NotAccepted(Refusal):
    """What was entered without a certificate is not right, or its owner is shut out.

    One answer for an unknown contract, an unknown user, a wrong PIN and a
    closed door, so that nobody learns which.
    """

    code = "not-accepted"


class DoorClosed(Refusal):
    """Too many misses in a row closed the door."""

    code = "contract-closed"


class ContractClosed(DoorClosed):
    """The administrator's misses closed the contract (閉塞)."""

    code = "contract-closed"


class UserSuspended(DoorClosed):
    """The user's misses, or the administrator, shut the user out (利用中止)."""

    code = "user-suspended"


class EmergencyStopped(DoorClosed):
    """Stopped at once on demand (緊急停止): the contract or the user. The branch alone lifts it."""

    code = "emergency-stopped"


class ContractNotOpen(DoorClosed):
    """The administrator has not confirmed the opening (開通確認) yet. Told only behind a certificate."""

    code = "contract-not-open"


class StaffClosed(DoorClosed):
    """Misses shut somebody of the bank out of the console; the operators let them in again."""

    code = "staff-closed"


class StaffRefused(Refusal):
    """What somebody of the bank asked for is not theirs to do."""

    code = "role-missing"


class RoleMissing(StaffRefused):
    """None of their roles allows it."""

    code = "role-missing"


class IdempotencyKeyMissing(StaffRefused):
    """A system did not name its request, so that it could not be known again."""

    code = "idempotency-key-missing"


class IdempotencyKeyReused(StaffRefused):
    """A system gave another request the name of an earlier one."""

    code = "idempotency-key-reused"


class RolesConflict(StaffRefused):
    """One person must not have these roles together."""

    code = "roles-conflict"


class RoleGranted(StaffRefused):
    """They have that role already."""

    code = "role-granted"


class RoleNotGranted(StaffRefused):
    """They do not have that role."""

    code = "role-not-granted"


class StaffUnknown(StaffRefused):
    """The bank has nobody of that staff ID."""

    code = "staff-unknown"


class StaffIdTaken(StaffRefused):
    """The bank has, or had, somebody of that staff ID; IDs are never given twice."""

    code = "staff-id-taken"


class ContractUnknown(StaffRefused):
    """No contract of that ID is theirs to see: none at all, another branch's and another bank's read the same."""

    code = "contract-unknown"


class FormUnknown(StaffRefused):
    """No request form of that number is theirs to see."""

    code = "form-unknown"


class SerialUnknown(StaffRefused):
    """No certificate of that serial number is theirs to see."""

    code = "serial-unknown"


class FormMoved(StaffRefused):
    """The form does not stand where that can be done: somebody else moved it, or nothing is left to do."""

    code = "form-moved"


class FourEyes(StaffRefused):
    """Whoever entered it, compared its seal or granted the role does not approve it."""

    code = "four-eyes"


class ProposalOwn(FourEyes):
    """Whoever proposed a change of the rules, or made the approver one, does not approve it."""

    code = "proposal-own"


class ProposalUnknown(StaffRefused):
    """The bank has no proposal of that number."""

    code = "proposal-unknown"


class ProposalDecided(StaffRefused):
    """The proposal does not stand where that can be done: somebody else decided, or it is in force."""

    code = "proposal-decided"


class ProposalOutdated(StaffRefused):
    """A rule is not any more what it was when the change was written down."""

    code = "proposal-outdated"


class PolicyByTwo(StaffRefused):
    """The bank has two people who change its rules together, so no command changes them but in an emergency."""

    code = "policy-by-two"


class FormWithoutEffect(StaffRefused):
    """As things stand, carrying the form out would change nothing, or is not possible any more."""

    code = "form-without-effect"


class EntryRefused(Refusal):
    """Something on a screen is to be entered again."""

    code = "entry-wrong"


class EntryWrong(EntryRefused):
    """Behind a certificate: a secret was not right. Never says which part."""

    code = "entry-wrong"


class EntryMissing(EntryRefused):
    """A field was left empty."""

    code = "entry-missing"


class EntryTooLong(EntryRefused):
    """A field holds more than any right entry could."""

    code = "entry-too-long"


class EntryDiffers(EntryRefused):
    """What was to be entered twice was not the same."""

    code = "entry-differs"


class EntryNotDigits(EntryRefused):
    """A field takes digits only."""

    code = "entry-not-digits"


class ChoiceMissing(EntryRefused):
    """One of the choices must be taken."""

    code = "choice-missing"


class FormExpired(EntryRefused):
    """The form was made for another browser or session; nothing was done."""

    code = "form-expired"


class RulesNotAllowed(EntryRefused):
    """A proposal cannot be taken; `fields` says what is wrong with which rule, the day or the reason."""

    code = "rules-not-allowed"


class RulesUnchanged(EntryRefused):
    """Every rule of the proposal is so already."""

    code = "rules-unchanged"


class UserUnknown(EntryRefused):
    """The contract has no such user."""

    code = "user-unknown"


class NothingToRevoke(EntryRefused):
    """No certificate is in force."""

    code = "certificate-none-to-revoke"


class UserNotSuspended(EntryRefused):
    """There is nothing to lift."""

    code = "user-not-suspended"


class SessionUnknown(EntryRefused):
    """No user of the contract has that session open, or not any more."""

    code = "session-unknown"


class NothingToWithdraw(EntryRefused):
    """No permit is open."""

    code = "permit-none-to-withdraw"


class SecondStepMissing(EntryRefused):
    """That second step is not set up, or the bank does not offer it."""

    code = "second-step-missing"


class CardMissing(EntryRefused):
    """The PIN was right, and there is no card to answer from until a new one is posted, nor any other second step."""

    code = "card-missing"


class CardMoved(EntryRefused):
    """No card of the contract is in the state from which it could be moved on."""

    code = "card-moved"


class CardsNoneToPrint(EntryRefused):
    """Every card of the bank is posted already."""

    code = "cards-none-to-print"


class CardMakerNotUsable(EntryRefused):
    """No certificate of a card maker is set that something can be encrypted for now."""

    code = "card-maker-not-usable"


class PasskeyNotAccepted(EntryRefused):
    """What the passkey answered does not hold, or answers a question that was asked before."""

    code = "passkey-not-accepted"


class PinNotAllowed(EntryRefused):
    """A new PIN breaks a rule of the policy; `fields` names the rule that each breaks first."""

    code = "pin-not-allowed"


class DetailsNotAllowed(EntryRefused):
    """What was typed about a user cannot be taken; `fields` says what and why."""

    code = "details-not-allowed"


class IdentityNotConfirmed(EntryRefused):
    """What was answered on the telephone does not show that it was the customer who called."""

    code = "identity-not-confirmed"


class ScanNotAccepted(EntryRefused):
    """A file is not taken as a scan of a form's paper; `fields` says why."""

    code = "scan-not-accepted"


class UserIdTaken(EntryRefused):
    """The contract has, or had, a user of that ID; IDs are never given twice."""

    code = "user-id-taken"


class ContractIdTaken(EntryRefused):
    """The bank has, or had, a contract of that ID; IDs are never given twice."""

    code = "contract-id-taken"


class UsersFull(EntryRefused):
    """The contract has as many users as the policy allows."""

    code = "users-full"


class MailAddressConfirmed(EntryRefused):
    """The user reads that address; nobody else may put another in its place."""

    code = "mail-address-confirmed"


class OpeningStepDone(EntryRefused):
    """That step of the opening was carried out before; nothing was done a second time."""

    code = "opening-step-done"


class OpeningCodeWrong(EntryRefused):
    """It is not the last code that was mailed, was missed too often, or is over."""

    code = "opening-code-wrong"


class MailAddressCodeWrong(EntryRefused):
    """The mailed code is not right, no longer good, or of no use after too many wrong ones: the address stays."""

    code = "mail-address-code-wrong"


class MailedCodesUsedUp(EntryRefused):
    """As many codes as are mailed to one person in a day have been mailed."""

    code = "mailed-codes-used-up"


class ProvisionalPinEnded(DoorClosed):
    """A provisional PIN was right, but its time is over. Told only to whoever knows it."""

    code = "provisional-pin-ended"


class PinsToReplace(Refusal):
    """Provisional PINs have to be replaced before anything else."""

    code = "pins-to-replace"


class MailedCodeRefused(Refusal):
    """Besides provisional PINs, a code that goes to the user by mail is asked. Told only to whoever knows both PINs."""

    code = "mailed-code-needed"


class MailedCodeNeeded(MailedCodeRefused):
    """It is on its way."""

    code = "mailed-code-needed"


class MailedCodeWrong(MailedCodeRefused):
    """It is not the last one that was mailed, was used, or is over."""

    code = "mailed-code-wrong"


class MailAddressMissing(MailedCodeRefused):
    """There is nowhere to mail it to."""

    code = "mail-address-missing"


class PermitRefused(Refusal):
    """There is no leave to acquire. Told only to whoever knows both PINs."""

    code = "permit-missing"


class PermitMissing(PermitRefused):
    """None was granted."""

    code = "permit-missing"


class PermitSpent(PermitRefused):
    """It gave a certificate to another key; `since` says when."""

    code = "permit-spent"


class PermitExpired(PermitRefused):
    """Its window is over; `until` says since when."""

    code = "permit-expired"


class PermitWithdrawn(PermitRefused):
    """Taken back before it was used."""

    code = "permit-withdrawn"


class KeyRefused(Refusal):
    """The key, or the request for its certificate, cannot be used."""

    code = "key-not-accepted"


class KeyNotAccepted(KeyRefused):
    """Neither P-256, P-384 nor RSA of 2048 to 4096 bits with exponent 65537."""

    code = "key-not-accepted"


class KeyWeak(KeyRefused):
    """Others can find the private key, or have it; `weakness` names the check that says so."""

    code = "key-weak"


class KeyReused(KeyRefused):
    """The key was certified before."""

    code = "key-reused"


class CsrNotAccepted(KeyRefused):
    """The request cannot be read, or its signature does not hold."""

    code = "csr-not-accepted"


class RenewalNeedsPin(KeyRefused):
    """This certificate is renewed with the PIN: its key, or the new one, can be copied, or it was renewed before."""

    code = "renewal-needs-pin"


class RenewalNotOpen(KeyRefused):
    """The renewal window has not opened yet; `opens` says when it does."""

    code = "renewal-not-open"


class ServiceRefused(Refusal):
    """Nothing is wrong with the visitor."""

    code = "service-unavailable"


class StoreAway(ServiceRefused):
    """The database did not answer in time, or cannot write; whether the last change stands may be unknown.

    Every change that a visitor asks for may be asked for again: it is done once.
    """

    code = "service-unavailable"


class WayNotOffered(ServiceRefused):
    """The bank does not offer this way to acquire."""

    code = "way-not-offered"


class OutOfHours(ServiceRefused):
    """Outside the bank's service hours nothing is changed or issued; stopping works at any hour."""

    code = "out-of-hours"


class CaAway(ServiceRefused):
    """The CA did not answer; the order is kept and the same key may ask again."""

    code = "ca-away"


class SigningRefused(ServiceRefused):
    """The CA would not sign the order, which ended with that; its log says why."""

    code = "signing-refused"


class IssuingCaRevoked(ServiceRefused):
    """The issuing CA for this kind was revoked, and none has followed it yet; no permit was spent."""

    code = "issuing-ca-revoked"


class MailAway(ServiceRefused):
    """The mail could not be handed over; nothing else was done."""

    code = "mail-away"


class TooManyRequests(ServiceRefused):
    """More is asked at once than the site bears."""

    code = "too-many-requests"
