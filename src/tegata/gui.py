"""The window: the same acquisition as on the terminal, in the words of the bank's pages. Needs `tegata[gui]`."""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QThread, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QApplication,
    QComboBox,
    QFormLayout,
    QInputDialog,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from tegata import agent, exit_codes, words
from tegata.enrolment import Patience
from tegata.errors import StoreTrouble, Trouble
from tegata.identity import Person, typed
from tegata.records import Book
from tegata.stores import spec
from tegata.web import Trust

if TYPE_CHECKING:
    from pathlib import Path

    from PySide6.QtGui import QCloseEvent

    from tegata.errors import Refused
    from tegata.words import Language


_WIDTH = 520


@dataclass(frozen=True, slots=True)
class Start:
    """What the window begins with; `kind` is "administrator" or "user"."""

    url: str
    bank: str
    kind: str
    ca: Path | None = None
    store: str | None = None
    proxy: str | None = None


@dataclass(frozen=True, slots=True)
class _Entered:
    """What was typed. It lives as long as the work does."""

    url: str
    person: Person
    pin: str
    confirmation_pin: str
    store: str


class _Work(QObject):
    """Acquires in a thread of its own, so that the window goes on answering."""

    stepped = Signal(str)
    done = Signal(str)
    failed = Signal(str, str)
    pin_wanted = Signal(str)
    code_wanted = Signal(str)

    def __init__(self, entered: _Entered, start: Start, lang: Language) -> None:
        super().__init__()
        self._entered = entered
        self._start = start
        self._lang: Language = lang
        self.pins: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def run(self) -> None:
        """Do it, and tell how it ended."""
        try:
            self.done.emit(self._acquire())
        except Trouble as trouble:
            self.failed.emit(*words.told(self._lang, trouble))
        except Exception:  # noqa: BLE001 - the window has no other place to tell a bug
            import traceback

            traceback.print_exc()
            self.failed.emit(words.text(self._lang, "bug"), "")

    def _acquire(self) -> str:
        entered, start, book = self._entered, self._start, Book()
        way = agent.Way(Trust(start.ca, start.proxy), self._lang, Patience(time.sleep), self._report)
        with book.alone():
            met = agent.meet(way, entered.url, entered.person.bank)
            with spec.open_store(spec.parse(entered.store), self._ask_pin, create=True) as store:
                record = agent.record_for(entered.person, entered.url, store.spec, start.ca)
                brought = agent.acquire(
                    way,
                    met,
                    book,
                    store,
                    record,
                    pin=entered.pin,
                    confirmation_pin=entered.confirmation_pin,
                    mailed_code=self._ask_code,
                )
                until = f"{brought.issued.certificate.not_valid_after_utc.astimezone():%Y-%m-%d %H:%M}"
                where = words.text(self._lang, "done.where", store=store.spec, until=until)
                return f"{where}\n{words.text(self._lang, f'held.{store.held.value}')}"

    def _report(self, step: str, **values: object) -> None:
        if words.has(f"step.{step}"):
            self.stepped.emit(words.text(self._lang, f"step.{step}", **values))

    def _ask_pin(self, store: str) -> str:
        self.pin_wanted.emit(store)
        pin = self.pins.get()
        if pin is None:
            raise StoreTrouble("store-pin-missing", store=store)
        return pin

    def _ask_code(self, why: Refused) -> str | None:
        self.code_wanted.emit(str(why.values["said"]))
        return self.pins.get() or None


class Window(QWidget):
    """Form, progress, outcome: one after another."""

    def __init__(self, start: Start, lang: Language) -> None:
        super().__init__()
        self._start = start
        self._lang: Language = lang
        self._thread: QThread | None = None
        self._work: _Work | None = None
        self.finished = False
        self._close = QPushButton(self._t("close"))
        self._entitle("acquire")
        self._pages = QStackedWidget()
        layout = QVBoxLayout(self)
        layout.addWidget(self._pages)
        self._fields: dict[str, QLineEdit] = {}
        self._store = QComboBox()
        self._trouble = QLabel()
        self._progress = QLabel(self._t("working"))
        self._outcome = QLabel()
        for page in (self._form(), self._working(), self._done()):
            self._pages.addWidget(page)
        QShortcut(QKeySequence(QKeySequence.StandardKey.Close), self).activated.connect(self.close)
        self.setMinimumWidth(_WIDTH)
        self._first_empty().setFocus()

    def _t(self, key: str, **values: object) -> str:
        return words.text(self._lang, f"gui.{key}", **values)

    def _entitle(self, key: str) -> None:
        """Say in the window's title what it is about just now: it stands in the task bar and is read out first."""
        self.setWindowTitle(self._t("title", what=self._t(key)))

    def _form(self) -> QWidget:
        page = QWidget()
        form = QFormLayout(page)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapAllRows)
        if self._start.url and not any(record.url == self._start.url for record in Book().all()):
            form.addRow(_wrapped(self._t("first-time")))
        self._add(form, "url", self._start.url, locked=bool(self._start.url))
        self._add(form, "bank-code", self._start.bank, locked=bool(self._start.bank))
        self._add(form, "contract-id")
        if self._start.kind == "user":
            self._add(form, "user-id")
        self._add(form, f"{self._start.kind}.pin", secret=True)
        self._add(form, f"{self._start.kind}.confirmation-pin", secret=True)
        for one in _choices(self._start):
            self._store.addItem(one)
        label = QLabel(self._t("store"))
        label.setBuddy(self._store)
        form.addRow(label, self._store)
        self._trouble.setWordWrap(True)
        self._trouble.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._trouble.setAccessibleName("alert")
        form.addRow(self._trouble)
        button = QPushButton(self._t("acquire"))
        button.setAutoDefault(True)
        button.clicked.connect(self.acquire)
        form.addRow(button)
        for field in self._fields.values():
            field.returnPressed.connect(self.acquire)
        return page

    def _add(
        self, form: QFormLayout, name: str, value: str = "", *, secret: bool = False, locked: bool = False
    ) -> None:
        field = QLineEdit(value)
        field.setReadOnly(locked)
        if locked:
            # Read before it is believed, but nothing that one has to tab through.
            field.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        if secret:
            field.setEchoMode(QLineEdit.EchoMode.Password)
        label = QLabel(self._t(name))
        label.setBuddy(field)
        field.setAccessibleName(self._t(name))
        form.addRow(label, field)
        self._fields[name] = field

    def _working(self) -> QWidget:
        page = QWidget()
        layout = QVBoxLayout(page)
        self._progress.setAccessibleName("status")
        bar = QProgressBar()
        bar.setRange(0, 0)
        layout.addWidget(self._progress)
        layout.addWidget(bar)
        return page

    def _done(self) -> QWidget:
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.addWidget(_wrapped(self._t("done")))
        self._outcome.setWordWrap(True)
        layout.addWidget(self._outcome)
        self._close.setAutoDefault(True)
        self._close.clicked.connect(self.close)
        layout.addWidget(self._close)
        return page

    def _first_empty(self) -> QLineEdit:
        return next((field for field in self._fields.values() if not field.text()), self._fields["contract-id"])

    def acquire(self) -> None:
        """Take what was typed and start, or say what is missing; a second press changes nothing."""
        if self._thread is not None:
            return
        for name, field in self._fields.items():
            if not field.text().strip():
                self._trouble.setText(self._t("missing", label=self._t(name)))
                self._entitle("trouble")
                field.setFocus()
                return
        text = {name: field.text() for name, field in self._fields.items()}
        kind = self._start.kind
        person = typed(text["bank-code"], text["contract-id"], text.get("user-id"))
        entered = _Entered(
            text["url"].strip(),
            person,
            text[f"{kind}.pin"],
            text[f"{kind}.confirmation-pin"],
            self._store.currentText(),
        )
        self._trouble.clear()
        self._progress.setText(self._t("working"))
        self._pages.setCurrentIndex(1)
        self._entitle("working")
        self._thread, self._work = QThread(), _Work(entered, self._start, self._lang)
        self._work.moveToThread(self._thread)
        self._thread.started.connect(self._work.run)
        self._work.stepped.connect(self._progress.setText)
        self._work.pin_wanted.connect(self._ask_pin)
        self._work.code_wanted.connect(self._ask_code)
        self._work.done.connect(self._succeed)
        self._work.failed.connect(self._fail)
        self._thread.start()

    def _ask_pin(self, store: str) -> None:
        label = words.text(self._lang, "ask.store-pin", store=store)
        pin, given = QInputDialog.getText(self, self._t("store-pin"), label, QLineEdit.EchoMode.Password)
        if self._work is not None:
            self._work.pins.put(pin if given else None)

    def _ask_code(self, said: str) -> None:
        label = f"{said}\n\n{words.text(self._lang, 'ask.mailed-code')}"
        code, given = QInputDialog.getText(self, self._t("mailed-code"), label)
        if self._work is not None:
            self._work.pins.put(code if given else None)

    def _succeed(self, outcome: str) -> None:
        self._end_thread()
        self._forget_secrets()
        self.finished = True
        self._outcome.setText(outcome)
        self._pages.setCurrentIndex(2)
        self._entitle("done")
        self._close.setFocus()

    def _fail(self, what: str, then: str) -> None:
        self._end_thread()
        # What was typed stays, secrets excepted.
        self._forget_secrets()
        self._trouble.setText(f"{what}\n{then}".strip())
        self._pages.setCurrentIndex(0)
        self._entitle("trouble")
        self._fields[f"{self._start.kind}.pin"].setFocus()

    def _forget_secrets(self) -> None:
        for name in ("pin", "confirmation-pin"):
            self._fields[f"{self._start.kind}.{name}"].clear()

    def _end_thread(self) -> None:
        if self._thread is not None:
            self._thread.quit()
            self._thread.wait()
        self._thread = self._work = None

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Let what is under way come to its end first: a closed window must not leave half a certificate."""
        if self._thread is not None:
            event.ignore()
            return
        super().closeEvent(event)


def _wrapped(text: str) -> QLabel:
    label = QLabel(text)
    label.setWordWrap(True)
    # A layout asks a wrapped label for its height before it knows its width, and would cut it off.
    label.setMinimumHeight(label.heightForWidth(_WIDTH - 60))
    return label


def _choices(start: Start) -> list[str]:
    """Return the stores to choose from: the one that was named, or all that this computer has."""
    if start.store is not None:
        return [start.store]
    found = [str(spec.platform_default()), *map(str, spec.found_databases())]
    return list(dict.fromkeys([*found, *(record.store for record in Book().all())]))


def run(start: Start, lang: Language) -> int:
    """Open the window and return the exit code once it is closed."""
    application = QApplication.instance() or QApplication(["tegata"])
    window = Window(start, lang)
    window.show()
    application.exec()
    return exit_codes.DONE if window.finished else exit_codes.INTERRUPTED
