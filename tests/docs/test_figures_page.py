"""The page of figures names the scripts that there are, and every one of them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.benchmarks.run import parts

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "figures.md").read_text("utf-8")


def test_every_part_of_the_bench_stands_on_the_page_and_no_other() -> None:
    assert set(re.findall(r"`tests/benchmarks/(\w+)\.py`", PAGE)) == parts().keys()


def test_a_figure_has_its_script_beside_it() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    figures = [row for row in rows if " --- " not in row and "script 脚本" not in row]
    assert figures
    assert [row for row in figures if "`tests/benchmarks/" not in row] == []
