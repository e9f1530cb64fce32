"""Whatever is typed, a shell goes on, and nothing leaves its root."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aios.cli.shell.ask import Asker
from aios.cli.shell.commands import Quit
from aios.cli.shell.loop import one
from aios.cli.shell.session import ShellSession
from aios.cli.shell.verbs import VERBS
from aios.config import Config
from aios.terminal.exit import Code
from aios.terminal.output import stdout
from aios_storage import Library

VERB = st.sampled_from(sorted(VERBS.keys() - {"quit", "index"}))
WORD = st.one_of(
    st.sampled_from(
        ["a.txt", "docs", "..", "/etc/passwd", "~", "1", "-1", "99", "yesterday", "--run", "docs/../..", "'"]
    ),
    st.text(max_size=12),
)
LINE = st.one_of(
    st.builds(lambda verb, words: " ".join((verb, *words)), VERB, st.lists(WORD, max_size=3)), st.text(max_size=30)
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINE.filter(lambda line: line.strip()[:1] not in ("!", "?")), min_size=1, max_size=6))
def test_any_line(lines: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside.txt"
    (root / "docs").mkdir(parents=True, exist_ok=True)
    (root / "a.txt").write_text("inside\n")
    outside.write_text("never to be seen\n")
    with Library(root) as library, Asker(Config) as asker:
        session = ShellSession(library, stdout(), asker)
        for line in lines:
            try:
                assert one(session, line) in Code
            except Quit:
                assert line.split()[0] == "quit"
            capsys.readouterr()
            assert not session.directory.startswith(("..", "/"))
    assert outside.read_text() == "never to be seen\n"
    assert (root / "a.txt").exists()
