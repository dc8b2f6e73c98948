"""docs/configuration.md says what the declarations say."""

from __future__ import annotations

from pathlib import Path

from bleepstore.config import document

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == document.render(), (
        "run: python -m bleepstore.config.document > docs/configuration.md"
    )


def test_what_is_marked_not_yet_exists() -> None:
    page = document.render()
    for key in document._NOT_YET:
        section, _, name = key.rpartition(".")
        assert f"# {key}\n" in page or (f"# {section}\n" in page and f"`{name}`" in page)
