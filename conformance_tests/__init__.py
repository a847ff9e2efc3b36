"""The conformance suite: what integrators of other teams run against what they built.

It imports the schema ``hutong.v1`` and nothing else of the project: its token
and sealing code rests on jwcrypto and cryptography alone, so that suite and
gateway do not merely share one reading of the specification.

A case is data (``cases/*.yaml``); what needs several steps is a scenario
(``roles/*.py``). Every negative case has a positive twin that differs in one
property and runs just before it: if the twin fails, the negative result is void.
Results are judged by the reason of a refusal, not by the refusal alone.
"""
