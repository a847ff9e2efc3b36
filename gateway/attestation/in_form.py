"""Values of few kinds that many attestations repeat, held against their form once.

Every token of a region names the same region, the same scheme, the same few divisions.
Asking whether such a text is known to be in its form costs a fraction of asking the
form again::

    if text not in DIVISIONS:
        DIVISIONS.learn(text)  # or raises

Nothing that is out of its form is ever remembered, so what is not in the set is asked
of the form itself, every time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

MAX_REMEMBERED: Final = 4096
"""Distinct divisions, schemes and lists of the whole country fit; a stranger who names
others makes it forget and grows nothing."""


class InForm(set[_T]):
    """What was found to be in a form.

    Args:
        check: raises ValueError for what is not.
    """

    __slots__ = ("_check",)

    def __init__(self, check: Callable[[_T], object]) -> None:
        super().__init__()
        self._check = check

    def learn(self, value: _T) -> None:
        """Remembers a value that is in the form.

        Raises:
            ValueError: it is not.
        """
        self._check(value)
        if len(self) >= MAX_REMEMBERED:
            self.clear()
        self.add(value)
