"""The command in the line for a missing package works for the installation that prints it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import install_command, missing_extra

from ...installed import install


def installed_from(
    site: Path, monkeypatch: pytest.MonkeyPatch, origin: dict[str, Any] | str | None, installer: str = "pip"
) -> None:
    """A telbench that an installer has left in a folder, with its Direct URL record."""
    install(site, "telbench", {})
    (info,) = site.glob("*.dist-info")
    (info / "INSTALLER").write_text(f"{installer}\n")
    if origin is not None:
        (info / "direct_url.json").write_text(origin if isinstance(origin, str) else json.dumps(origin))
    monkeypatch.syspath_prepend(site)


def test_a_clone_is_added_to_as_a_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = tmp_path / "my clone"
    clone.mkdir()
    installed_from(tmp_path, monkeypatch, {"url": clone.as_uri(), "dir_info": {"editable": True}})
    assert install_command("judge") == f"pip install -e '{clone}[judge]'"
    monkeypatch.chdir(clone)
    assert install_command("judge") == "pip install -e '.[judge]'"


def test_a_folder_that_was_installed_once_is_installed_again_with_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = tmp_path / "clone"
    clone.mkdir()
    installed_from(tmp_path, monkeypatch, {"url": clone.as_uri(), "dir_info": {}})
    assert install_command("hf") == f"pip install '{clone}[hf]'"
    monkeypatch.chdir(clone)
    assert install_command("hf") == "pip install '.[hf]'"


def test_a_wheel_is_named_with_its_folder_as_long_as_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "telbench-1.0-py3-none-any.whl"
    wheel.write_bytes(b"")
    installed_from(tmp_path, monkeypatch, {"url": wheel.as_uri(), "archive_info": {}})
    assert install_command("vllm") == f"pip install '{wheel}[vllm]'"
    wheel.unlink()
    assert install_command("vllm") == "pip install 'telbench[vllm]'"


def test_a_repository_is_named_with_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://git.example.org/telbench.git"
    installed_from(tmp_path, monkeypatch, {"url": url, "vcs_info": {"vcs": "git", "commit_id": "abc123"}})
    assert install_command("hf") == f"pip install 'telbench[hf] @ git+{url}@abc123'"


@pytest.mark.parametrize("origin", [None, "", "{", "[]", '{"url": 3}', '{"vcs_info": {"vcs": "git"}}'])
def test_an_index_is_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: str | None) -> None:
    installed_from(tmp_path, monkeypatch, origin)
    line = "generation with vLLM needs the package 'vllm': pip install 'telbench[vllm]'"
    assert str(missing_extra("vllm", "vllm", "generation with vLLM")) == line


def test_what_uv_installed_uv_adds_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed_from(tmp_path, monkeypatch, None, installer="uv")
    assert install_command("train") == "uv pip install 'telbench[train]'"
