"""docs/configuration.md says what the declarations say."""

from __future__ import annotations

from pathlib import Path

from bleepstore.cli import configuration_page

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == configuration_page.render(), (
        "run: python -m bleepstore.cli.configuration_page > docs/configuration.md"
    )


def test_what_is_marked_not_yet_exists() -> None:
    page = configuration_page.render()
    for key in configuration_page._NOT_YET:
        section, _, name = key.rpartition(".")
        assert f"# {key}\n" in page or (f"# {section}\n" in page and f"`{name}`" in page)
