"""The house is built as docs/architecture.md draws it: import-linter's contracts hold."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "bleepstore"
ENTRY_POINTS = {PACKAGE / "tap.py", PACKAGE / "__main__.py"}


def test_the_import_contracts_hold() -> None:
    pytest.importorskip("importlinter")
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", _modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_says_what_it_knows_and_keeps_to_one_subject(path: Path) -> None:
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "a module without a docstring"
    assert text.count("\n") <= 500, "past 500 lines a module has two subjects"


@pytest.mark.parametrize("path", _modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_entry_points_import_the_reactor(path: Path) -> None:
    if path in ENTRY_POINTS:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "twisted.internet":
            assert "reactor" not in {alias.name for alias in node.names}


def test_twisted_has_no_init_module() -> None:
    assert not list((ROOT / "twisted").rglob("__init__.py"))
