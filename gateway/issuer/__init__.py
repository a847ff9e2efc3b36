"""The national issuer: the code of every region that has none (path 3).

A platform of its own, with its own process and database, never part of the hub. This
room imports codes, attestation, trust, wire and the adapter SDK; nothing but the
command line imports it.

What the services build on (all of it ``async`` unless said otherwise; every call takes
``now``, an aware datetime (or ``clock``, a function that gives one, where a call may
last), and ``client``, who asks; errors stand in :mod:`.errors`)::

    box = load_identity_box(path, os.urandom)            # people.py; create_identity_key
    async with await open_issuer(dsn, box) as issuer:    # core.py
        # facts.py: each assesses in the same transaction and returns the Code
        await issuer.facts.declare_health(HealthDeclaration(…), client=…, now=…)
        await issuer.facts.declare_itinerary(document, stays, proxy=…, client=…, now=…)
        await issuer.facts.report_contacts(contacts, client=…, now=…)  # .outcomes .changed
        # core.py: the current code; None: NOT_APPLIED
        code = await issuer.code(document)               # or issuer.code_of(person_id)
        code.declaration_holds(now)                      # False: DECLARATION_EXPIRED
        # people.py
        await issuer.people.find(document)               # person_id or None
        await issuer.people.identity(person_id)          # to mask, or to print
        await issuer.people.may_act(person_id, proxy)    # a recorded proxy
        # areas.py
        await issuer.areas.publish(areas, valid_from=…, source=…, client=…, clock=…)
                                                         # .revision .assessed .changed
        await issuer.areas.assess_due(clock)             # call it every minute: lists
                                                         # published ahead, runs left over
        # corrections.py; ids are text such as "k-12"
        await issuer.corrections.open(document, subject, statement, proxy=…, client=…, now=…)
        await issuer.corrections.show(document, correction_id, proxy=…)
        await issuer.corrections.cases(status, after=0, limit=50)   # .number: next `after`
        await issuer.corrections.answer(correction_id, status, answer, withdrawn,
                                        client=…, clock=…)  # (Correction, Code)
        # trace.py
        await issuer.trace.read(document)                # TraceEntry: id at kind by text …
        # recompute.py: everybody, every day; goes on where a killed run ended
        await issuer.recompute.run(clock, progress=None)

Values that go in and come out stand in :mod:`.values`. A further table of the services
comes with a further migration in ``store/migrations/versions``; ``issuer.store.write()``
and ``.read()`` give a transaction.
"""

from __future__ import annotations
