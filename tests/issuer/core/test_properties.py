"""Whatever happens, the level is what the oracle says: one person, spans, both databases."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.codes import TriState
from gateway.issuer.values import (
    Area,
    AreaRisk,
    ContactKind,
    ContactReport,
    CorrectionStatus,
    CorrectionSubject,
    Stay,
    Symptom,
)
from tests.issuer.core.oracle import Lists, Met, Person, Said, Stayed, assess
from tests.issuer.core.world import Clock, World, declaration, document, issuer_database, open_world
from tests.store.databases import BACKENDS

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

_DIVISIONS = ["330106", "330108", "330100", "330000", "330782", "420103"]
_PEOPLE = 4

people = st.integers(0, _PEOPLE - 1)
divisions = st.sampled_from(_DIVISIONS)
answers = st.sampled_from([TriState.NO] * 6 + [TriState.YES, TriState.UNSURE])
symptoms = st.one_of(
    st.just(frozenset({Symptom.NONE})),
    st.just(frozenset({Symptom.NONE})),
    st.frozensets(st.sampled_from(sorted(set(Symptom) - {Symptom.NONE})), min_size=1, max_size=2),
)
hours = st.sampled_from([0, 1, 14, 15, 24, 24, 30, 48, 24 * 7, 24 * 14, 24 * 15])
ago = st.sampled_from([1, 25, 24 * 3, 24 * 5 + 7, 24 * 12, 24 * 14, 24 * 15, 24 * 20])


class Happenings(RuleBasedStateMachine):
    """Facts come in any order, time passes, lists change, runs run, facts are withdrawn."""

    backend = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        directory = self.stack.enter_context(tempfile.TemporaryDirectory())
        dsn = self.stack.enter_context(issuer_database(self.backend, Path(directory)))
        self.runner = self.stack.enter_context(asyncio.Runner())
        self.world: World = self.do(open_world(dsn))
        self.clock: Clock = self.world.clock
        self.people: dict[int, Person] = {}
        self.kept: dict[int, list[Met]] = {}
        self.lists: Lists = []
        self.facts: list[tuple[int, str, Any]] = []
        self.reported = 0

    def do(self, work: Any) -> Any:
        return self.runner.run(work)

    def teardown(self) -> None:
        self.do(self.world.issuer.__aexit__(None, None, None))
        self.stack.close()

    def known(self, index: int) -> Person:
        return self.people.setdefault(index, Person())

    def remember(self, index: int, letter: str, fact: Any) -> None:
        self.facts.append((index, letter, fact))

    @initialize()
    def somebody_declares(self) -> None:
        self._declare(0, 365, frozenset({Symptom.NONE}), (TriState.NO,) * 3, "330106")

    @rule(
        index=people,
        temperature=st.sampled_from([360, 365, 372, 373, 385]),
        symptoms=symptoms,
        contact=answers,
        risk_area=answers,
        overseas=answers,
        home=st.sampled_from(["330106", "330106", "330106", "420103"]),
    )
    def declares(
        self,
        index: int,
        temperature: int,
        symptoms: frozenset[Symptom],
        contact: TriState,
        risk_area: TriState,
        overseas: TriState,
        home: str,
    ) -> None:
        self._declare(index, temperature, symptoms, (contact, risk_area, overseas), home)

    @rule(index=people, days=st.sampled_from([1, 2, 3, 7, 13, 14]))
    def checks_in(self, index: int, days: int) -> None:
        for _ in range(days):
            self.clock.days(1)
            self._declare(index, 365, frozenset({Symptom.NONE}), (TriState.NO,) * 3, None)

    def _declare(
        self,
        index: int,
        temperature: int,
        symptoms: frozenset[Symptom],
        answers: tuple[TriState, ...],
        home: str | None,
    ) -> None:
        person = self.known(index)
        homes = [stay.division for stay in person.stays if stay.residence]
        home = home or (homes[-1] if homes else "330106")
        now = self.clock.now
        contact, risk_area, overseas = answers
        told = declaration(
            index,
            temperature=temperature,
            symptoms=symptoms,
            contact=contact,
            risk_area=risk_area,
            overseas=overseas,
            home=home,
        )
        self.do(self.world.issuer.facts.declare_health(told, client="app", now=now))
        if not homes or homes[-1] != home:
            stay = Stayed(now, home, now, None, residence=True)
            person.stays.append(stay)
            self.remember(index, "s", stay)
        names = frozenset(symptom.value for symptom in symptoms)
        said = Said(now, temperature, names, contact.value, risk_area.value, overseas.value)
        person.declarations.append(said)
        self.remember(index, "d", said)
        for met in self.kept.pop(index, []):
            met.known = now
            person.contacts.append(met)

    @precondition(lambda self: self.people)
    @rule(
        data=st.data(),
        division=divisions,
        entered=ago,
        length=st.sampled_from([None, None, 1, 23, 24, 48, 24 * 4, 24 * 9]),
        again=st.booleans(),
    )
    def travels(
        self, data: st.DataObject, division: str, entered: int, length: int | None, again: bool
    ) -> None:
        index = data.draw(st.sampled_from(sorted(self.people)))
        now = self.clock.now
        begin = now - timedelta(hours=entered)
        lasting = [
            stay for stay in self.people[index].stays if stay.left is None and not stay.residence
        ]
        if again and lasting:
            # The end of a stay that was said to last.
            division, begin = lasting[-1].division, lasting[-1].entered
        end = None if length is None else min(begin + timedelta(hours=length), now)
        if end is not None and (end <= begin or now - end > timedelta(days=13)):
            return
        stay = Stay(division, begin, end)
        self.do(
            self.world.issuer.facts.declare_itinerary(
                document(index), [stay], proxy=None, client="app", now=now
            )
        )
        person = self.known(index)
        key = (division, begin, end)
        told = {
            (each.division, each.entered, each.left)
            for each in person.stays
            if not each.residence and not each.withdrawn
        }
        if key not in told:
            fact = Stayed(now, division, begin, end)
            person.stays.append(fact)
            self.remember(index, "s", fact)

    @rule(index=people, kind=st.sampled_from(ContactKind), days_ago=st.integers(0, 30))
    def is_reported(self, index: int, kind: ContactKind, days_ago: int) -> None:
        now = self.clock.now
        self.reported += 1
        at = now - timedelta(days=days_ago)
        contact = ContactReport(document(index), kind, at, "330106", f"case-{self.reported}")
        reported = self.do(
            self.world.issuer.facts.report_contacts([contact], client="cdc", now=now)
        )
        if days_ago > 28:
            assert reported.outcomes[0].value == "REFUSED"
            return
        met = Met(kind.value, at, None, "330106")
        if index in self.people:
            met.known = now
            self.people[index].contacts.append(met)
            assert reported.outcomes[0].value == "TAKEN"
        else:
            self.kept.setdefault(index, []).append(met)
            assert reported.outcomes[0].value == "KEPT"
        self.remember(index, "c", met)

    @rule(
        areas=st.dictionaries(divisions, st.sampled_from(AreaRisk), max_size=3),
        back=st.sampled_from([0, 0, 1, 30]),
    )
    def areas_change(self, areas: dict[str, AreaRisk], back: int) -> None:
        valid_from = self.clock.now - timedelta(hours=back)
        if self.lists and valid_from < self.lists[-1][0]:
            valid_from = self.clock.now
        self.do(
            self.world.issuer.areas.publish(
                [Area(division, risk) for division, risk in areas.items()],
                valid_from=valid_from,
                source="synthetic",
                client="nhc",
                clock=self.clock,
            )
        )
        self.lists.append((valid_from, {key: risk.value for key, risk in areas.items()}))

    @rule(hours=hours)
    def time_passes(self, hours: int) -> None:
        self.clock.now += timedelta(hours=hours)

    @rule(hours=hours)
    def everybody_is_assessed(self, hours: int) -> None:
        self.clock.now += timedelta(hours=hours)
        report = self.do(self.world.recompute())
        assert report.people == len(self.people)
        for index in self.people:
            assert self.do(self.world.code(index)).assessed_at == self.clock.now

    @precondition(lambda self: self.facts)
    @rule(data=st.data())
    def a_fact_is_withdrawn(self, data: st.DataObject) -> None:
        standing = [
            (index, letter, fact)
            for index, letter, fact in self.facts
            if not fact.withdrawn and index in self.people
        ]
        if not standing:
            return
        index, letter, fact = data.draw(st.sampled_from(standing))
        kinds = {"d": "declaration", "s": "stay", "c": "contact"}
        entries = self.do(self.world.issuer.trace.read(document(index)))
        ids = sorted(
            (entry.id for entry in entries if entry.kind == kinds[letter]),
            key=lambda text: int(text[2:]),
        )
        own = [each for who, kind, each in self.facts if (who, kind) == (index, letter)]
        place = next(place for place, each in enumerate(own) if each is fact)
        corrections = self.world.issuer.corrections
        opened = self.do(
            corrections.open(
                document(index),
                CorrectionSubject.STAY,
                "错了",
                proxy=None,
                client="app",
                now=self.clock.now,
            )
        )
        self.do(
            corrections.answer(
                opened.id,
                CorrectionStatus.UPHELD,
                "有误",
                [ids[place]],
                client="reviewer",
                clock=self.clock,
            )
        )
        fact.withdrawn = True

    @invariant()
    def everybody_has_the_level_that_the_facts_give(self) -> None:
        for index, person in self.people.items():
            code = self.do(self.world.code(index))
            release = code.release
            found = (
                code.level.value,
                code.rule.removeprefix("native-2020-02/"),
                None if release is None else (release.days_done, release.days_needed),
                code.area,
            )
            expected = assess(person, self.lists, code.assessed_at)
            assert found == expected, f"person {index}: {found}, not {expected}"


@pytest.mark.parametrize(
    ("backend", "examples"),
    [
        pytest.param(*backend.values, examples, id=backend.id, marks=backend.marks)
        for backend, examples in zip(BACKENDS, (20, 8), strict=True)
    ],
)
def test_whatever_happens_the_level_is_what_the_facts_give(backend: str, examples: int) -> None:
    machine = type("Machine", (Happenings,), {"backend": backend})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
