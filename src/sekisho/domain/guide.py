"""The guide 「パソコンを変更するとき」: a few questions, and from their answers exactly what is to be done (J13)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sekisho.domain.person import Kind
from sekisho.domain.request_forms import FormKind
from sekisho.domain.second_step import SecondStep

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sekisho.domain.policy import Policy

    Answers = Mapping["Question", str]


class Question(StrEnum):
    """What is asked, in this order; the value is its name in the guide's address."""

    WHOSE = "whose"
    OLD = "old"
    CERTIFICATE = "certificate"
    LOCKED = "locked"
    PINS = "pins"
    CARD = "card"


class Do(StrEnum):
    """One thing to do."""

    STOP_BY_TELEPHONE = "stop-by-telephone"
    FILE_ON_SCREEN = "file-on-screen"
    GO_TO_THE_BRANCH = "go-to-the-branch"
    ACQUIRE_ADMINISTRATOR = "acquire-administrator"
    ACQUIRE_ADMINISTRATOR_WITH_CODE = "acquire-administrator-with-code"
    LOG_ON_ADMINISTRATOR = "log-on-administrator"
    LOG_ON_WITH_INTERIM_CODE = "log-on-with-interim-code"
    REPLACE_ADMINISTRATOR_PINS = "replace-administrator-pins"
    LIFT_SUSPENSION = "lift-suspension"
    REISSUE_USER = "reissue-user"
    RESET_USER_PINS = "reset-user-pins"
    ACQUIRE_USER = "acquire-user"
    ACQUIRE_USER_WITH_CODE = "acquire-user-with-code"
    LOG_ON_USER = "log-on-user"
    LOG_ON_USER_AND_REPLACE_PINS = "log-on-user-and-replace-pins"


class Ready(StrEnum):
    """One thing to have at hand."""

    NEW_COMPUTER = "new-computer"
    OLD_COMPUTER = "old-computer"
    SEAL = "seal"
    CONTRACT_ID = "contract-id"
    CONTRACT_PINS = "contract-pins"
    ADMINISTRATOR_MAIL = "administrator-mail"
    CARD = "card"
    OTHER_STEP = "other-step"
    PHONE = "phone"
    USER_ID = "user-id"
    USER_PINS = "user-pins"
    USER_MAIL = "user-mail"


class Takes(StrEnum):
    """How long it takes at the longest: on screen alone, or with the branch."""

    MINUTES = "minutes"
    BRANCH = "branch"


class Note(StrEnum):
    """What is good to know besides."""

    OLD_WORKS_UNTIL_REISSUE = "old-works-until-reissue"
    ENDED_AT_ONCE = "ended-at-once"
    CARD_FOLLOWS = "card-follows"
    REMOVE_OLD = "remove-old"


@dataclass(frozen=True, slots=True)
class GuideStep:
    """A step: who does it (None: whoever it is about), and the page (site and path) or the forms that it needs."""

    do: Do
    who: Kind | None = None
    page: tuple[str, str] | None = None
    forms: tuple[FormKind, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one situation asks for."""

    steps: tuple[GuideStep, ...]
    ready: tuple[Ready, ...]
    takes: Takes
    notes: tuple[Note, ...] = ()

    @property
    def forms(self) -> tuple[FormKind, ...]:
        """All forms to print."""
        return tuple(form for step in self.steps for form in step.forms)


ADMINISTRATOR, USER, BOTH = "administrator", "user", "both"
WORKS, BROKEN, LOST = "works", "broken", "lost"
VALID, ENDED = "valid", "ended"
NOT_LOCKED, USER_SUSPENDED, CONTRACT_CLOSED, STOPPED = "no", "user-suspended", "contract-closed", "stopped"
KNOWN, USER_FORGOT, ADMINISTRATOR_FORGOT, BOTH_FORGOT = (
    "known",
    "forgotten-user",
    "forgotten-administrator",
    "forgotten-both",
)
AT_HAND, OTHER_STEP = "at-hand", "other-step"

_USERS = ("administrator", "/contract/users")
_NEW_FORM = ("administrator", "/contract/forms/new")


def asked(answers: Answers) -> tuple[Question, ...]:
    """Return the questions of a situation, in order, as far as the answers tell.

    Whether the administrator's certificate is in force says whether the
    administrator can reissue a user's, or go on with the old computer; where
    the administrator moves from a computer that is gone, it says nothing.
    """
    gone = answers.get(Question.WHOSE, USER) != USER and answers.get(Question.OLD, WORKS) != WORKS
    return tuple(one for one in Question if not (gone and one is Question.CERTIFICATE))


def choices(question: Question, answers: Answers, policy: Policy) -> tuple[str, ...]:
    """Return the answers that a question has."""
    of_user = answers.get(Question.WHOSE) != ADMINISTRATOR
    match question:
        case Question.WHOSE:
            return (USER, ADMINISTRATOR, BOTH)
        case Question.OLD:
            return (WORKS, BROKEN, LOST)
        case Question.CERTIFICATE:
            return (VALID, ENDED)
        case Question.LOCKED:
            return (NOT_LOCKED, *((USER_SUSPENDED,) if of_user else ()), CONTRACT_CLOSED, STOPPED)
        case Question.PINS:
            users = (USER_FORGOT,) if of_user else ()
            return (KNOWN, *users, ADMINISTRATOR_FORGOT, *((BOTH_FORGOT,) if of_user else ()))
        case Question.CARD:
            others = policy.second_steps - {SecondStep.CARD}
            return (AT_HAND, *((OTHER_STEP,) if others else ()), LOST)


def read_answers(given: Mapping[str, str], policy: Policy) -> dict[Question, str]:
    """Return what of an address are answers. Whatever does not belong to the situation is left out."""
    answers: dict[Question, str] = {}
    for question in Question:
        answer = given.get(question.value, "")
        if question in asked(answers) and answer in choices(question, answers, policy):
            answers[question] = answer
        elif question is Question.WHOSE:
            break  # what the others mean depends on it
    return answers


def next_question(answers: Answers) -> Question | None:
    """Return the first question that is open, or None where all are answered."""
    return next((one for one in asked(answers) if one not in answers), None)


def all_situations(policy: Policy, answers: Answers | None = None) -> Iterator[dict[Question, str]]:
    """Yield every combination of answers that the questions allow."""
    known = dict(answers or {})
    question = next_question(known)
    if question is None:
        yield known
        return
    for answer in choices(question, known, policy):
        yield from all_situations(policy, {**known, question: answer})


@dataclass(frozen=True, slots=True)
class _Situation:
    """What a plan depends on. `forms` are in the order in which the branch has to carry them out."""

    administrator_moves: bool
    user_moves: bool
    lost: bool
    locked: str
    user_forgot: bool
    administrator_forgot: bool
    administrator_reissued: bool
    forms: tuple[FormKind, ...]
    card: str
    alive: bool

    @property
    def on_screen(self) -> bool:
        """Whether the administrator can still log on with the old computer, and so needs no paper."""
        return self.alive and self.forms == (FormKind.CERTIFICATE_REISSUE,)


def plan_for(answers: Answers) -> Plan:
    """Return the plan of a situation of which every question is answered."""
    situation = _situation(answers)
    steps = (*_at_the_branch(situation), *_of_the_administrator(situation), *_of_the_user(situation))
    return Plan(steps, _ready(situation), _takes(situation), _notes(answers, situation))


def _situation(answers: Answers) -> _Situation:
    whose, pins = answers[Question.WHOSE], answers[Question.PINS]
    administrator_moves = whose in {ADMINISTRATOR, BOTH}
    reissued = administrator_moves or answers[Question.CERTIFICATE] == ENDED
    locked, card = answers[Question.LOCKED], answers[Question.CARD]
    forgot = pins in {ADMINISTRATOR_FORGOT, BOTH_FORGOT}
    # What is stopped cannot be reissued, and a reissue ends provisional PINs.
    needed = {
        FormKind.EMERGENCY_STOP_LIFT: locked == STOPPED,
        FormKind.LOCKOUT_LIFT: locked == CONTRACT_CLOSED,
        FormKind.CERTIFICATE_REISSUE: reissued,
        FormKind.PIN_RESET: forgot,
        FormKind.CARD_REISSUE: card == LOST,
        # A card takes weeks; with the branch's code and an app nobody waits for it.
        FormKind.INTERIM_STEP: card == LOST,
    }
    return _Situation(
        administrator_moves=administrator_moves,
        user_moves=whose in {USER, BOTH},
        lost=answers[Question.OLD] == LOST,
        locked=locked,
        user_forgot=pins in {USER_FORGOT, BOTH_FORGOT},
        administrator_forgot=forgot,
        administrator_reissued=reissued,
        forms=tuple(form for form, is_needed in needed.items() if is_needed),
        card=card,
        alive=answers[Question.OLD] == WORKS and answers.get(Question.CERTIFICATE) == VALID and locked == NOT_LOCKED,
    )


def _at_the_branch(situation: _Situation) -> Iterator[GuideStep]:
    """Yield what takes the branch. A computer that is lost is stopped before anything else.

    Where the administrator can log on, reissuing a user's certificate ends
    the lost one as fast as a telephone call.
    """
    if situation.lost and situation.forms and situation.locked != STOPPED:
        yield GuideStep(Do.STOP_BY_TELEPHONE, forms=(FormKind.CERTIFICATE_REVOCATION,))
    if situation.on_screen:
        yield GuideStep(Do.FILE_ON_SCREEN, Kind.ADMINISTRATOR, _NEW_FORM)
    elif situation.forms:
        yield GuideStep(Do.GO_TO_THE_BRANCH, Kind.ADMINISTRATOR, forms=situation.forms)


def _of_the_administrator(situation: _Situation) -> Iterator[GuideStep]:
    """Yield what the administrator does."""
    forgot = situation.administrator_forgot
    if situation.administrator_reissued:
        acquire = Do.ACQUIRE_ADMINISTRATOR_WITH_CODE if forgot else Do.ACQUIRE_ADMINISTRATOR
        yield GuideStep(acquire, Kind.ADMINISTRATOR, ("public", "/acquire/administrator"))
    log_on = Do.LOG_ON_WITH_INTERIM_CODE if situation.card == LOST else Do.LOG_ON_ADMINISTRATOR
    yield GuideStep(log_on, Kind.ADMINISTRATOR, ("administrator", "/"))
    if forgot:
        yield GuideStep(Do.REPLACE_ADMINISTRATOR_PINS, Kind.ADMINISTRATOR, ("administrator", "/pins"))
    if not situation.user_moves:
        return
    if situation.locked == USER_SUSPENDED:
        yield GuideStep(Do.LIFT_SUSPENSION, Kind.ADMINISTRATOR, _USERS)
    yield GuideStep(Do.REISSUE_USER, Kind.ADMINISTRATOR, _USERS)
    if situation.user_forgot:
        # After the reissue: what ends a permit ends the provisional PINs that came with it.
        yield GuideStep(Do.RESET_USER_PINS, Kind.ADMINISTRATOR, _USERS)


def _of_the_user(situation: _Situation) -> Iterator[GuideStep]:
    if not situation.user_moves:
        return
    forgot = situation.user_forgot
    acquire = Do.ACQUIRE_USER_WITH_CODE if forgot else Do.ACQUIRE_USER
    log_on = Do.LOG_ON_USER_AND_REPLACE_PINS if forgot else Do.LOG_ON_USER
    yield GuideStep(acquire, Kind.USER, ("public", "/acquire/user"))
    yield GuideStep(log_on, Kind.USER, ("user", "/"))


def _ready(situation: _Situation) -> tuple[Ready, ...]:
    needed = {
        Ready.NEW_COMPUTER: True,
        Ready.OLD_COMPUTER: situation.on_screen,
        Ready.SEAL: bool(situation.forms) and not situation.on_screen,
        Ready.CONTRACT_ID: True,
        Ready.CONTRACT_PINS: not situation.administrator_forgot,
        Ready.ADMINISTRATOR_MAIL: situation.administrator_forgot and situation.administrator_reissued,
        Ready.CARD: situation.card == AT_HAND,
        Ready.OTHER_STEP: situation.card == OTHER_STEP,
        Ready.PHONE: situation.card == LOST,
        Ready.USER_ID: situation.user_moves,
        Ready.USER_PINS: situation.user_moves and not situation.user_forgot,
        Ready.USER_MAIL: situation.user_moves and situation.user_forgot,
    }
    return tuple(thing for thing, is_needed in needed.items() if is_needed)


def _takes(situation: _Situation) -> Takes:
    return Takes.BRANCH if situation.forms else Takes.MINUTES


def _notes(answers: Answers, situation: _Situation) -> tuple[Note, ...]:
    works = answers[Question.OLD] == WORKS
    notes = {
        Note.OLD_WORKS_UNTIL_REISSUE: situation.administrator_moves and situation.alive,
        Note.ENDED_AT_ONCE: situation.user_moves and not situation.administrator_moves,
        Note.CARD_FOLLOWS: situation.card == LOST,
        Note.REMOVE_OLD: works,
    }
    return tuple(note for note, is_good_to_know in notes.items() if is_good_to_know)
