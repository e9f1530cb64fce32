"""The paths that a caller may name, and those that it may not change."""

from __future__ import annotations

import unicodedata

from aios_syscalls.errors import BadRequest, Denied

Parts = tuple[str, ...]
"""The components of a path below the root; empty for the root itself."""

TEMPORARY = ".aios-tmp-"
"""How the name of a half-written file begins."""

_BASH = (".profile", ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".inputrc")
_SHELLS = (".zshrc", ".zshenv", ".zprofile", ".zlogin", ".zlogout", ".kshrc", ".cshrc", ".tcshrc", "config.fish")
_SESSION = (".login", ".logout", ".xinitrc", ".xprofile", ".xsession", ".xsessionrc", ".pam_environment", ".envrc")
_PYTHON = ("sitecustomize.py", "usercustomize.py")
# Each of these makes a program run code, or trust a key, that an agent could have written. `.git` is whole, since
# `.git/config` names programs too, and since a harmless directory could otherwise be moved to where hooks lie.
PROTECTED = frozenset((".aios", ".git", ".gitconfig", ".ssh", *_BASH, *_SHELLS, *_SESSION, *_PYTHON))


def is_unicode(name: str) -> bool:
    """Whether `name` has a UTF-8 form; Python spells the bytes of a name that has none as surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def split(path: str, field: str = "path") -> Parts:
    """The components of a relative path; `.` and doubled slashes drop out.

    Raises BadRequest for what is no path, Denied for one that is absolute or goes up.
    """
    if not path:
        raise BadRequest(f"the {field} is empty; use . for the root", field)
    if "\0" in path:
        raise BadRequest(f"{path!r} holds a NUL, which no path can; leave it out", field)
    if not is_unicode(path):
        raise BadRequest(f"{path!r} is not valid Unicode; paths are UTF-8", field)
    if path.startswith("/"):
        raise Denied(f"{path} is absolute; paths are relative to the root", field=field)
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if ".." in parts:
        raise Denied(f"{path} goes up; paths only go down from the root, without ..", field=field)
    return parts


def folded(name: str) -> str:
    """The one form of all names that some file system takes for this one.

    Some fold case, some compositions of letters; some know nothing of characters that nobody sees, of dots and blanks
    at the end, or take what is behind a colon for a part of the file.
    """
    if name.isascii():  # what follows, for most names in a tenth of the time
        return name.partition(":")[0].lower().rstrip(" .")
    seen = "".join(letter for letter in name if unicodedata.category(letter) != "Cf")
    return unicodedata.normalize("NFKC", seen.partition(":")[0]).casefold().rstrip(" .")


def is_protected(path: str) -> bool:
    """Whether the last name of a path is one that is read-only, as what lies below it is."""
    name = folded(path.rpartition("/")[2])
    return name in PROTECTED or name.endswith(".pth") or name.startswith(TEMPORARY)


def refuse_protected(parts: Parts, field: str = "path") -> None:
    """Raises Denied where `parts`, free of symbolic links, is the root or lies at or below a protected name."""
    if not parts:
        raise Denied("the root itself cannot be changed; name something in it", field=field)
    for part in parts:
        if is_protected(part):
            raise Denied(f"{'/'.join(parts)} is read-only: {part} is a protected name; use another", field=field)
