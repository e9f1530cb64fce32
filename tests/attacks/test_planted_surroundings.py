"""Other files of the working directory that some library would read of itself."""

from __future__ import annotations

import sys
from pathlib import Path

import chromadb
import pytest
from chromadb.config import Settings

from aios_storage.owner.chroma import Chroma


def test_a_planted_dotenv_does_not_have_the_vector_store_import_a_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("CHROMA_PRODUCT_TELEMETRY_IMPL=planted_store.Store\n")
    (tmp_path / "planted_store.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    Chroma(tmp_path / "kept", "m", 2, "g").close()
    assert not (tmp_path / "ran").exists()
    with pytest.raises(AttributeError):  # the module has no such class, but by then it was run
        chromadb.PersistentClient(str(tmp_path / "bare"), Settings(anonymized_telemetry=False, is_persistent=True))
    assert (tmp_path / "ran").exists()
    del sys.modules["planted_store"]
