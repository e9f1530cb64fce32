"""Names that get executed: who may not write them, by which verb, in which disguise."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from aios_storage import Author, Drop, Files, Put, Rename
from aios_storage.disk.path import PROTECTED
from aios_storage.guard.executed import Executed, check_executed
from aios_storage.guard.executed_names import BESIDE, FILES_ALONE, GROUPS
from aios_storage.guard.sealed import Sealed
from aios_storage.library import Library
from aios_syscalls.errors import AiosError, Denied

AGENT = Author("writer", "run-1", 3, 4)


def example(name: str) -> str:
    """A path of which a name of the table says that it gets executed."""
    return name.lstrip("/").replace("*", "q")


EVERY = [example(name) for group in GROUPS for name in group.names]


def opened(root: Path, allowed: bool | tuple[str, ...] = False) -> Library:
    return Library(root, author=AGENT, sealed=Sealed(executed=Executed(root, allowed)))


def verbs(files: Files, at: str, path: str) -> dict[str, Callable[[], object]]:
    """Every way to change what is at a path, with what `prepare` has made at `at`."""
    source, elsewhere, beside = f"{at}/source", f"{at}/elsewhere", Put(f"{at}/beside", b"x")
    return {
        "write": lambda: files.write(path, b"evil"),
        "append": lambda: files.append(path, b"evil"),
        "delete": lambda: files.delete(path),
        "move away": lambda: files.move(path, elsewhere),
        "roll back": lambda: files.rollback(path, 1),
        "purge": lambda: files.purge(path, path),
        "drop in a transaction": lambda: files.transaction([beside, Drop(path)]),
        "rename away in a transaction": lambda: files.transaction([beside, Rename(path, elsewhere)]),
        "create": lambda: files.create(path, b"evil"),
        "make": lambda: files.write(path, b"evil"),
        "make by appending": lambda: files.append(path, b"evil"),
        "copy onto": lambda: files.copy(source, path),
        "move onto": lambda: files.move(source, path),
        "make a directory": lambda: files.create(path, kind="directory"),
        "move a directory onto": lambda: files.move(f"{at}/tree", path),
        "put in a transaction": lambda: files.transaction([beside, Put(path, b"evil")]),
        "rename onto in a transaction": lambda: files.transaction([beside, Rename(source, path)]),
    }


EXISTING = 8
"""Of those verbs: the first ones, which change a file that is there."""
FIRST = tuple(next(name for name in group.names if "*" not in name) for group in GROUPS)


def cases(files: Files) -> list[tuple[str, str, str, str, Callable[[], object]]]:
    """Group, verb, where it works, what it changes, and how, for a name of each group."""
    found = []
    for row, (group, name) in enumerate(zip(GROUPS, FIRST, strict=True)):
        for number, verb in enumerate(verbs(files, "", "")):
            at = f"{row}/{number}"
            path = f"{at}/{name}" if name[0] != "/" else f"{name[1:]}/{number}.py"
            found.append((group.by, verb, at, path, verbs(files, at, path)[verb]))
    return found


def prepare(files: Files) -> None:
    """By the user, who may."""
    existing = list(verbs(files, "", ""))[:EXISTING]
    for _, verb, at, path, _ in cases(files):
        files.root.make_way(path)
        files.root.make_way(f"{at}/tree/x")
        Path(files.path, at, "source").write_bytes(b"source")
        if verb in existing:
            files.transaction([Put(path, b"old")])
            files.transaction([Put(path, b"mine")])


def test_no_verb_changes_what_gets_executed_unless_it_is_allowed(tmp_path: Path) -> None:
    for allowed in (False, tuple(name.lstrip("/") for name in FIRST), True):
        root = tmp_path / str(allowed)[:5]
        root.mkdir()
        with Library(root) as library:
            prepare(library.files)
        with opened(root, allowed) as library:
            before = {path: state(root / path) for *_, path, _ in cases(library.files)}
            refused = {(by, verb): refusal(change) for by, verb, _, _, change in cases(library.files)}
        wrong = [case for case, why in refused.items() if bool(why) is bool(allowed)]
        wrong += [(by, why) for (by, _), why in refused.items() if why and not (by in why and "allow_executed" in why)]
        for by, verb, at, path, _ in cases(library.files):
            if not allowed and (state(root / path) != before[path] or (root / at / "beside").exists()):
                wrong.append((by, f"{verb} left something"))
        assert not wrong


def refusal(change: Callable[[], object]) -> str:
    """Why a change was refused; empty where it was made."""
    try:
        change()
    except Denied as error:
        return error.message
    return ""


def state(path: Path) -> bytes | bool:
    return path.read_bytes() if path.is_file() else path.exists()


def test_every_name_of_the_table_is_refused_and_can_be_allowed_by_itself(tmp_path: Path) -> None:
    wrong = []
    closed = Executed(tmp_path)
    for group in GROUPS:
        for name in group.names:
            path = example(name)
            inside = path if name in FILES_ALONE else f"{path}/below/it"
            deep = path if name[0] == "/" else f"some/where/{path}"
            if not (closed.reason(path) and closed.reason(inside) and closed.reason(deep)):
                wrong.append((name, "open"))
            own = name.lstrip("/")
            if check_executed(own) or Executed(tmp_path, (own,)).reason(path) or Executed(tmp_path, True).reason(path):
                wrong.append((name, "closed"))
    assert not wrong
    assert len(set(EVERY)) == len(EVERY)
    assert not PROTECTED & set(EVERY)


DESIGN = """
aios.toml agents/x.py .github/workflows/ci.yml .vscode/tasks.json .husky/pre-commit .claude/settings.json
.mcp.json .pre-commit-config.yaml .gitmodules .config/autostart/x.desktop .config/systemd/user/x.service
.config/fish/conf.d/x.fish sitecustomize/__init__.py .venv/bin/python .local/bin/ls conftest.py package.json
Makefile .npmrc .docker/config.json .kube/config CLAUDE.md AGENTS.md GNUmakefile makefile justfile tox.ini
noxfile.py setup.py pyproject.toml .gitlab-ci.yml .circleci/config.yml Jenkinsfile
.devcontainer/devcontainer.json .idea/runConfigurations/x.xml .cursor/rules .gemini/settings.json GEMINI.md
.githooks/pre-push .yarnrc.yml .bazelrc usercustomize/__init__.py .cargo/config.toml build.rs crontab .foorc
.some_profile vite.config.ts .eslintrc.cjs BUILD
"""

DISGUISED = {
    "case": "MAKEFILE",
    "case of a directory": ".GitHub/WORKFLOWS/ci.yml",
    "mixed case": "Claude.MD",
    "a dot at the end": "Makefile.",
    "blanks at the end": "package.json  ",
    "blanks at a directory's end": ".vscode /tasks.json",
    "full width": "\uff2d\uff41\uff4b\uff45\uff46\uff49\uff4c\uff45",
    "full width dot": "\uff0evscode/tasks.json",
    "one dot leader": "package\u2024json",
    "a ligature": "Make\ufb01le",
    "a long s": "confte\u017ft.py",
    "the sign for Kelvin": "ma\u212aefile",
    "nothing to see": "Make\u200bfile",
    "another direction": "\u202eMakefile",
    "a mark in front": "\ufeffAGENTS.md",
    "a stream": "Makefile::$DATA",
    "doubled slashes": ".github//workflows///ci.yml",
    "dots between": "./.github/./workflows/ci.yml",
    "depth": "a/b/c/d/e/f/package.json",
    "in each other": "x/.venv/y/.vscode/z",
}


def test_what_the_design_lists_and_its_kind_is_refused_in_every_disguise(tmp_path: Path) -> None:
    with opened(tmp_path) as library:
        paths = [*DESIGN.split(), *DISGUISED.values()]
        for path in paths:
            Path(tmp_path, path).parent.mkdir(parents=True, exist_ok=True)
        assert not [path for path in paths if not refusal(partial(library.files.write, path, b"evil"))]
    assert not [path for path in paths if (tmp_path / path).exists()]


ORDINARY = """
README.md src/main.py src/lib.rs main.go tests/test_x.py notes/makefile.md docs/claude.md.txt build/out.txt
build/deep/x bin/tool.py lib/x.py env/notes.txt package.jsonl .gitignore .aiosignore head objects/x refs/x
hooks/x config workspace/a.md targets/x settings.json tasks.json .hidden .cache/x requirements.txt run.sh
index.html main.tf .github/ISSUE_TEMPLATE/x.md src/agents/x.md tsconfig.json data.csv report.pdf profile.md
release.md conf.py
"""


def test_ordinary_names_stay_open(tmp_path: Path) -> None:
    with opened(tmp_path) as library:
        for path in ORDINARY.split():
            library.files.root.make_way(path)
            library.files.write(path, b"fine")
            assert (tmp_path / path).read_bytes() == b"fine"


def test_what_gets_executed_can_be_read_found_and_copied_from(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("all: lighthouse\n")
    with opened(tmp_path) as library:
        library.refresh()
        assert library.files.read("Makefile") == b"all: lighthouse\n"
        assert [hit.path for hit in library.search("lighthouse").hits] == ["Makefile"]
        library.files.copy("Makefile", "rules.txt")
        assert (tmp_path / "rules.txt").read_bytes() == b"all: lighthouse\n"


# --- directories that move


MOVED = {
    "a file below gets such a name": ("ci/workflows/x.yml", "ci", ".github"),
    "deeper": ("a/b/workflows/x.yml", "a/b", "a/.github"),
    "the last part of it": ("pre/ci/x.yml", "pre/ci", ".github/workflows"),
    "a file that has one goes elsewhere": ("proj/Makefile", "proj", "other"),
    "a directory that has one": ("proj/.vscode/tasks.json", "proj", "other"),
    "and away": (".github/workflows/x.yml", ".github", "old"),
    "to the top": ("x/own.py", "x", "agents"),
    "one that is empty": ("e/workflows/", "e", ".github"),
    "a repository": ("bare/HEAD bare/objects/ bare/refs/ bare/config", "bare", "other"),
    "an environment": ("v/pyvenv.cfg v/bin/python", "v", "w"),
}


def test_no_directory_is_moved_so_that_what_is_below_gets_executed_elsewhere(tmp_path: Path) -> None:
    wrong = []
    for number, (why, (made, source, goal)) in enumerate(MOVED.items()):
        for allowed in (False, True):
            root = tmp_path / f"{number}-{allowed}"
            for path in (*made.split(), f"{goal}/x"):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).mkdir() if path.endswith("/") else path == f"{goal}/x" or (root / path).write_text("x")
            (root / goal).rmdir()
            with opened(root, allowed) as library:
                done = not refusal(partial(library.files.move, source, goal))
                if done != allowed or (root / goal).exists() != allowed:
                    wrong.append((why, allowed))
    assert not wrong


def test_a_link_in_a_directory_gets_no_such_name_by_a_move(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "evil").mkdir()
    (tmp_path / "x" / "workflows").symlink_to("../evil")
    with opened(tmp_path) as library:
        with pytest.raises(Denied):
            library.files.move("x", ".github")
        with pytest.raises(Denied):
            library.files.move("x/workflows", "x/.vscode")
        library.files.move("x", "y")  # an ordinary one


# --- links


def test_links_make_no_difference(tmp_path: Path) -> None:
    for place in ("docs", "shared", ".github", "real"):
        (tmp_path / place).mkdir()
    for path in ("Makefile", "docs/guide.md", "shared/rules.md", "docs/inner.md"):
        (tmp_path / path).write_text("mine")
    for link, target in {
        "notes.txt": "Makefile",
        "docs/deep": "../.github",
        "CLAUDE.md": "docs/guide.md",
        "docs/AGENTS.md": "inner.md",
        ".vscode": "shared",
        ".github/workflows": "../real",
        "chain": "link",
        "link": "Makefile",
        "x.mk": "docs/guide.md",
    }.items():
        (tmp_path / link).symlink_to(target)
    attempts = {
        "to a name": "notes.txt",
        "to a directory above": "docs/deep/workflows/x.yml",
        "by its name to an ordinary file": "CLAUDE.md",
        "what such a link leads to": "docs/guide.md",
        "beside it": "docs/inner.md",
        "by a directory": ".vscode/tasks.json",
        "below what such a link leads to": "shared/tasks.json",
        "in what a deep one leads to": "real/x.yml",
        "in two steps": "chain",
    }
    with opened(tmp_path) as library:
        for change in (library.files.write, library.files.append):
            said = {why: refusal(partial(change, path, b"evil")) for why, path in attempts.items()}
            assert not [why for why, message in said.items() if "allow_executed" not in message]
        for away in ("docs", "shared", "real"):
            with pytest.raises(Denied):
                library.files.move(away, "other")
        library.files.write("docs/other.md", b"fine")
    with opened(tmp_path, ("CLAUDE.md", "x.mk")) as library:  # the control: what the user allows has links as well
        library.files.write("docs/guide.md", b"fine")


# --- the past


def test_an_agent_undoes_nothing_that_gets_executed(tmp_path: Path) -> None:
    with Library(tmp_path, author=AGENT) as library:
        for name in ("Makefile", "notes.md"):
            library.files.write(name, b"old")
            library.files.write(name, b"new")
    for allowed in (False, True):
        with opened(tmp_path, allowed) as library:
            dry = {each.path: each.kept for each in library.files.undo(run="run-1", dry_run=True)}
            undone = {each.path: each.kept for each in library.files.undo(run="run-1")}
            assert dry == undone
            assert ("read-only for agents" in str(undone["Makefile"])) is not allowed
        assert (tmp_path / "Makefile").exists() is not allowed
        assert not (tmp_path / "notes.md").exists()


# --- names that mean something in some directories only


def test_no_directory_becomes_a_repository_in_any_order(tmp_path: Path) -> None:
    steps = {
        "HEAD": lambda files, at: files.write(f"{at}/HEAD", b"ref: refs/heads/x"),
        "objects": lambda files, at: files.create(f"{at}/objects", kind="directory"),
        "refs": lambda files, at: files.create(f"{at}/refs", kind="directory"),
    }
    orders = [(a, b, c) for a in steps for b in steps for c in steps if len({a, b, c}) == 3]
    with opened(tmp_path) as library:
        for number, order in enumerate(orders):
            at = f"r{number}"
            library.files.create(at, kind="directory")
            for name in order[:2]:
                steps[name](library.files, at)
            with pytest.raises(Denied, match="git"):
                steps[order[2]](library.files, at)
        (tmp_path / "r0" / "refs").mkdir()
        with pytest.raises(Denied, match="git"):
            library.files.write("r0/config", b"[core]\n")


def test_the_programs_of_an_environment_of_any_name_are_closed(tmp_path: Path) -> None:
    (tmp_path / "any" / "bin").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    with opened(tmp_path) as library:
        library.files.write("any/bin/python", b"a program of a project")
        (tmp_path / "any" / "pyvenv.cfg").write_text("home = /usr/bin\n")
        for path in ("any/bin/python", "any/lib", "any/pyvenv.cfg"):
            with pytest.raises(Denied, match="Python"):
                library.files.write(path, b"evil")
        library.files.write("any/notes.md", b"fine")
        library.files.write("bin/tool", b"fine")
    with opened(tmp_path, ("pyvenv.cfg",)) as library:
        library.files.write("any/bin/python", b"mine")


def test_a_root_within_such_a_directory_is_the_users_choice_and_what_it_would_complete_is_not(tmp_path: Path) -> None:
    inside, above = tmp_path / ".claude" / "worktrees" / "x", tmp_path / ".github"
    for root in (inside, above):
        root.mkdir(parents=True)
        (root / "workflows").mkdir()
    with opened(inside) as library:
        library.files.write("notes.md", b"fine")
        library.files.write("workflows/x.yml", b"fine")
    with opened(above) as library, pytest.raises(Denied):
        library.files.write("workflows/x.yml", b"evil")
    with opened(above, (".github/workflows",)) as library:
        library.files.write("workflows/x.yml", b"fine")
    named = tmp_path / "agents" / ".vscode" / "work"
    named.mkdir(parents=True)
    with opened(named, ("agents", ".vscode")) as library, pytest.raises(Denied):
        library.files.write("Makefile", b"evil")


# --- what is allowed


@pytest.mark.parametrize(
    ("allowed", "path", "open_"),
    [
        (("Makefile",), "a/makefile", True),
        (("docs/Makefile",), "docs/Makefile", True),
        (("docs/Makefile",), "Makefile", False),
        (("docs/Makefile",), "a/docs/Makefile", True),
        (("*.mk",), "rules.mk", True),
        (("rules.mk",), "other.mk", False),
        ((".vscode",), ".vscode/tasks.json", True),
        ((".vscode/settings.json",), ".vscode/settings.json", True),
        ((".vscode/settings.json",), ".vscode", True),
        ((".vscode/settings.json",), ".vscode/tasks.json", False),
        (("Makefile",), ".vscode/Makefile", False),
        ((".vscode",), ".vscode/Makefile", True),
        (("Makefile",), "package.json", False),
        (("agents",), "agents/x.py", True),
        (("HEAD",), "Makefile", False),
        ((), "Makefile", False),
        (True, ".config/systemd/user/x.service", True),
    ],
)
def test_what_is_allowed_is_what_is_named(
    tmp_path: Path, allowed: bool | tuple[str, ...], path: str, open_: bool
) -> None:
    assert (Executed(tmp_path, allowed).reason(path) == "") is open_


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Makefil", "did you mean Makefile"),
        ("workflows", "did you mean .github/workflows"),
        (".github", "did you mean .github/workflows"),
        ("notes.md", "leave it out"),
        (".bashrc", "is protected"),
        ("x/.git/hooks", "is protected"),
        ("/Makefile", "below the root"),
        ("../Makefile", "below the root"),
        ("", "below the root"),
        ("*", "allow_executed = true"),
        ("**/*", "allow_executed = true"),
    ],
)
def test_a_name_that_would_allow_nothing_is_said_to(name: str, hint: str) -> None:
    assert hint in check_executed(name)


def test_the_advice_of_a_refusal_opens_what_was_refused(tmp_path: Path) -> None:
    wrong = []
    for path in EVERY:
        said = Executed(tmp_path).reason(path)
        names = json.loads(said.partition("allow_executed = ")[2].partition(" under [files]")[0])
        if any(map(check_executed, names)) or Executed(tmp_path, names).reason(path):
            wrong.append(path)
    assert not wrong
    assert not any(map(check_executed, {row.called for row in BESIDE}))


def test_a_list_of_changes_with_one_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as library:
        with pytest.raises(AiosError):
            library.files.transaction([Put("a.md", b"x"), Put("CLAUDE.md", b"evil"), Put("b.md", b"x")])
        assert not any(each.suffix == ".md" for each in tmp_path.iterdir())
