'''What every reference city builds on: ask here, write in the city's own words.

A city's package ``adapters/platforms/NAME/`` holds a table (who is what, since
when, which stories) and a class that speaks the city's wire. Everything else is
here and in the modules beside it: people, drawing by seed, versions in force by
date, QR texts, conversion, the catalogue, and all faults, which act on neutral
records so that no city has to know them. A new folder is found by its name: the
registry, ``hutong platform run NAME`` and the test that runs every city against
every fault pick it up from ``PLATFORM`` in the package::

    # adapters/platforms/anywhere/__init__.py
    """The reference platform of Anywhere 某地码."""
    from adapters.platforms.anywhere.platform import AnywhereCredentials as AnywhereCredentials
    from adapters.platforms.anywhere.platform import AnywherePlatform as AnywherePlatform

    PLATFORM = AnywherePlatform

    # adapters/platforms/anywhere/table.py
    GREEN, RED = "绿码", "红码"
    CITY = City(
        name="anywhere",
        division="330400",
        counties=("330402", "330411"),
        versions=(
            Version(
                id="2020-02",  # as in adapters/schemes/anywhere/scheme.yaml
                since=shanghai("2020-02-20"),
                states=(
                    State(word=GREEN, colour=Colour.GREEN, share=0.95),
                    State(word=RED, colour=Colour.RED, share=0.05, reasons=("密切接触者",)),
                ),
            ),
        ),
        stories={
            "green": story("绿码", "Green", "GREEN", Record(state=GREEN)),
            "red": story("红码", "Red", "RED", Record(state=RED, reason="密切接触者")),
            "expired-code": story("旧码截图", "An old screenshot", "CODE_EXPIRED",
                Record(state=GREEN), shows=Shown.OLD, by_document="GREEN"),
            "not-applied": story("未申领", "Never applied", "NOT_APPLIED",
                result=Result.NOT_APPLIED, shows=Shown.NONE),
        },
        qr=QrForm("anywhere", "https://anywhere.example/c/{serial}{stamp}{check}"),
    )

    # adapters/platforms/anywhere/platform.py
    @dataclass(frozen=True, slots=True)
    class AnywhereCredentials:
        token: str = "synthetic-anywhere-token"  # field names are the adapter's secrets

    class AnywherePlatform(CityPlatform[AnywhereCredentials]):
        table = CITY
        credentials_type = AnywhereCredentials
        times = TimeForm.LOCAL
        codes = {Result.OK: "0", Result.NOT_FOUND: "1", Result.QR_EXPIRED: "2", ...}

        def routes(self):
            return [web.post("/query", self._query)]

        def admit(self, request):
            if bearer_is(request, self.credentials.token):
                return None
            return json_response({"code": "9"}, HTTPStatus.UNAUTHORIZED)

        async def _query(self, request):
            refusal = self.admit(request)
            if refusal is not None:
                return refusal
            body = await read_object(request)
            qr = body.get("qr")
            answer = self.ask_qr(qr) if qr else self.ask_number(body.get("number", ""))
            return json_response({
                "code": self.code(answer.result),
                "list": [self._record(person, record) for person, record in answer.records],
            })

        def _record(self, person, record):
            return {
                "number": self.number(person),       # lower-case x under that fault
                "state": record.state,               # a vendor's number under that fault
                "city": record.division,
                "computed": self.time(record.assessed_at),   # odd form under that fault
            }

What a city should know:

* `ask_number`, `ask_qr`, `ask_phone` apply the faults. Write what they answer, and
  write every number through `number` (or `masked`), every time through `time`.
* A wire that cannot carry several records, several people or an issuing division
  says so (`several_records`, `several_people`, `shows_issuer`), and the faults then
  end as the result that such a platform would give.
* A result without a code of its own falls back (`records.FALLBACK`), never to OK.
* ``GET /catalogue?after=&limit=`` and ``GET /changes?after=&wait=`` are added to every
  city, behind `admit`.
* `convert` registers an imported code; the city gives it a route in its own wire.
  Its QR text then leads through `ask_qr` like any other, until it ends.
* Draw nothing at random: `self.population.draw(index, "what")` and `mark`.
'''

from __future__ import annotations

from abc import abstractmethod
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from adapters.platforms.catalogue import catalogue_page
from adapters.platforms.drawing import hold, settle
from adapters.platforms.faulty import refused_by, spoil
from adapters.platforms.finding import who_shows
from adapters.platforms.imports import Imported, ImportOrder, Imports
from adapters.platforms.people import DEFAULT_SEED, DEFAULT_SIZE, Person, Population
from adapters.platforms.qr import IMPORTED_FROM
from adapters.platforms.records import FALLBACK, Answer, Colour, Holding, Record, Result
from adapters.platforms.server import Platform
from adapters.platforms.stories import generation_of, tell
from adapters.platforms.times import TimeForm, odd_form, write_time
from adapters.platforms.turning import Changes, changes_page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp import web

    from adapters.platforms.scenarios import ScenarioPerson
    from adapters.platforms.tables import City

C = TypeVar("C")
"""A city's credentials: a dataclass whose fields are the secrets of its adapter."""

_MASK: Final = "*" * 10


def utc_now() -> datetime:
    """The present."""
    return datetime.now(UTC)


class CityPlatform(Platform, Generic[C]):
    """A reference city on top of a table; see the head of this module.

    Args:
        credentials: of its clients; None: the synthetic defaults.
        clock: gives the aware present.
        population: its people; None: 20 000 of the table's counties.
        size: people, where no population is given.
        seed: of their states, where no population is given.

    Raises:
        ValueError: the size does not fit into the identity numbers.

    Attributes:
        credentials: what its clients must show.
        changes: whom an operator turned.
    """

    table: ClassVar[City]
    credentials_type: type[C]
    codes: ClassVar[Mapping[Result, str]] = {}
    times: ClassVar[TimeForm] = TimeForm.LOCAL
    several_records: ClassVar[bool] = True
    several_people: ClassVar[bool] = False
    shows_issuer: ClassVar[bool] = False

    def __init__(
        self,
        credentials: C | None = None,
        *,
        clock: Callable[[], datetime] = utc_now,
        population: Population | None = None,
        size: int = DEFAULT_SIZE,
        seed: int = DEFAULT_SEED,
    ) -> None:
        people = population or Population(self.table.counties, size=size, seed=seed)
        super().__init__(people, clock)
        self.city = self.table.name
        self.credentials: C = self.credentials_type() if credentials is None else credentials
        self.imports = Imports(self.table.import_life)
        self.changes = Changes()

    @abstractmethod
    def admit(self, request: web.Request) -> web.Response | None:
        """The city's refusal of a call with wrong credentials, or None."""

    def application(self) -> web.Application:
        """The city door: the city's routes, the catalogue, the faults in front."""
        app = super().application()
        app.router.add_get("/catalogue", self._catalogue)
        app.router.add_get("/changes", self._changes)
        return app

    def scenarios(self) -> Mapping[str, ScenarioPerson]:
        """The people with a fixed story, by story, as told now."""
        return tell(self.table, self.population, self.clock())

    # Asking.

    def ask_number(self, number: str) -> Answer:
        """What the platform says about a document number, as it stands."""
        return self._asked(self.find_number(number))

    def ask_phone(self, phone: str) -> Answer:
        """What the platform says about a telephone number."""
        return self._asked(self.find_phone(phone))

    def ask_qr(self, text: str) -> Answer:
        """What the platform says about a QR text."""
        return self._asked(self.find_qr(text))

    def find_number(self, number: str) -> Result | tuple[Person, ...]:
        """Who holds a document number."""
        person = self.population.find(number)
        return Result.NOT_FOUND if person is None else (person,)

    def find_phone(self, phone: str) -> Result | tuple[Person, ...]:
        """Who is registered under a telephone number."""
        known = len(phone) == 11 and phone.isascii() and phone.isdigit()  # noqa: PLR2004 - a mobile number
        if not known or not phone.startswith("100") or int(phone[3:]) >= self.population.size:
            return Result.NOT_FOUND
        return self.together(int(phone[3:]))

    def find_qr(self, text: str) -> Result | tuple[Person, ...]:
        """Who shows a QR text."""
        return who_shows(self, text)

    def records_of(self, person: Person) -> tuple[Record, ...]:
        """What the platform holds of a person now, faults aside; none: not a holder."""
        return self._held(person)[1]

    # Turning.

    def turn(self, person: Person, state: str | None, *, reason: str = "") -> None:
        """Set a person's state from now on, and tell the change feed.

        Args:
            person: one of the population.
            state: a state of the version in force, as the table names it; None: as drawn.
            reason: free text of the record.

        Raises:
            ValueError: the version in force has no such state.
        """
        now = self.clock()
        record = None
        if state is not None:
            if self.table.version_at(now).state(state) is None:
                raise ValueError("the version in force has no such state")
            # It changes now, whatever the last run of the computation was.
            record = Record(state=state, reason=reason, changed_ago=timedelta(0))
        self.changes.turn(person, record)
        self.changes.tell(person.number, self.records_of(person), now)

    # Writing.

    def code(self, result: Result) -> str:
        """The wire's code for a result, or for the nearest that it has a code for."""
        while result not in self.codes and result in FALLBACK:
            result = FALLBACK[result]
        return self.codes[result]

    def time(self, moment: datetime | None) -> str | int | None:
        """A moment as the wire writes it; None stays None."""
        if moment is None:
            return None
        return write_time(odd_form(self.times) if self.faults.odd_dates else self.times, moment)

    def number(self, person: Person) -> str:
        """A person's document number as the wire echoes it."""
        return self.echo(person.number)

    def echo(self, number: str) -> str:
        """A document number as the wire echoes it."""
        return number.lower() if self.faults.lowercase_x else number

    def masked(self, person: Person) -> str:
        """The number with its middle hidden."""
        number = self.number(person)
        return number[:4] + _MASK + number[-4:]

    def qr_text(self, serial: int) -> str | None:
        """A QR text made now; None: this version has no QR."""
        now = self.clock()
        version = self.table.version_at(now)
        form = self.table.qr_form(version)
        if form is None:
            return None
        return form.write(serial, form.stamp_at(now, generation_of(self.table, version, serial)))

    # Converting.

    def convert(self, order: ImportOrder) -> Imported | Result:
        """Register a code converted from another region's.

        Refused with `Result.OWN_RECORD` where the platform's own record of the person
        is anything but green: a conversion never overwrites it. The same reference
        finds the same code again; for another person it is `Result.CONFLICT`.
        """
        refusal = refused_by(self.faults)
        if refusal is not None:
            return refusal
        own = self.population.find(order.number)
        if own is not None:
            result, records = self._held(own)
            if result is Result.PENDING or any(r.colour is not Colour.GREEN for r in records):
                return Result.OWN_RECORD
        return self.imports.register(order, self.clock(), self._imported_qr)

    # Inside.

    def _asked(self, found: Result | tuple[Person, ...]) -> Answer:
        refusal = refused_by(self.faults)
        if refusal is not None:
            return Answer(refusal)
        if isinstance(found, Result):
            return Answer(found)
        held = []
        for person in found:
            result, records = self._held(person)
            if result is not Result.OK:
                return Answer(result)
            held.append(Holding(person, records))
        return spoil(self, Answer(Result.OK, tuple(held)), self.clock())

    def _held(self, person: Person) -> tuple[Result, tuple[Record, ...]]:
        if person.index >= IMPORTED_FROM:
            imported = self.imports.by_serial(person.index)
            record = None if imported is None else self.imported_record(imported)
            return (Result.NOT_FOUND, ()) if record is None else (Result.OK, (record,))
        now = self.clock()
        turned = self.changes.record_of(person)
        if turned is not None:
            record = settle(self.table, self.population, person, turned, now)
            return Result.OK, (self.finish(person, record, now),)
        result, records = hold(self.table, self.population, person, now)
        return result, tuple(self.finish(person, record, now) for record in records)

    def finish(self, person: Person, record: Record, now: datetime) -> Record:  # noqa: ARG002 - for cities
        """Change a record that is ready; a city with clocks of its own overrides this."""
        return record

    def imported_record(self, imported: Imported) -> Record | None:
        """The record behind an imported code; None: this version has no green."""
        version = self.table.version_at(self.clock())
        green = version.green
        if green is None:
            return None
        return Record(
            state=green.word,
            colour=Colour.GREEN,
            division=self.table.division,
            kind=green.kind,
            source=green.source,
            extra=green.extra,
            applied_at=imported.imported_at,
            issued_at=imported.imported_at,
            assessed_at=imported.imported_at,
            updated_at=imported.imported_at,
            changed_at=imported.imported_at,
            valid_until=imported.expires_at,
            negative_test_at=imported.negative_test_at,
            origin=imported.origin,
        )

    def together(self, index: int) -> tuple[Person, ...]:
        """A person and who is registered on the same phone, where a story says so."""
        told = self.table.told(index, self.table.version_at(self.clock()))
        people = range(index, index + (1 if told is None else told.people))
        return tuple(self.population.person(place) for place in people)

    def _imported_qr(self, serial: int) -> str | None:
        form = self.table.qr_form(self.table.version_at(self.clock()))
        return None if form is None else form.write(serial, form.stamp_at(self.clock()))

    async def _catalogue(self, request: web.Request) -> web.Response:
        return self.admit(request) or catalogue_page(self, request.query)

    async def _changes(self, request: web.Request) -> web.Response:
        return self.admit(request) or await changes_page(self, request.query)


AnyCity = CityPlatform[Any]
"""Any city, whatever its credentials."""
