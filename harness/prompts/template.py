"""A user's own template of the prompt: a Jinja2 file whose output is the user's message."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from telbench.config import near_name
from telbench.errors import InputError

# What a template may read. References and the right answer are not among it.
NAMES = (
    "question",
    "context",
    "choices",
    "labels",
    "several",
    "instruction",
    "id",
    "category",
    "source_document",
    "meta",
)
LONGEST = 100_000


@dataclass(frozen=True)
class UserTemplate:
    """The template's text, and the file that its faults are told with; the text alone tells two of them apart."""

    text: str
    file: str = field(default="the template", compare=False)

    @cached_property
    def _compiled(self) -> tuple[Any, Mapping[str, int]]:
        from jinja2 import TemplateSyntaxError

        from .sandbox import Sandbox

        try:
            template, names = Sandbox().template(self.text, self.file)
        except TemplateSyntaxError as error:
            raise InputError(f"{self.file}, line {error.lineno}: {error.message}") from error
        except Exception as error:
            raise InputError(f"{self.file} is no template: {_told(error)}") from error
        for name, line in names.items():
            if name not in NAMES:
                raise InputError(f"{self.file}, line {line}: there is no '{name}': {near_name(name, NAMES)}")
        return template, names

    def reads(self, name: str) -> bool:
        """Does the template name it?"""
        return name in self._compiled[1]

    def render(self, values: Mapping[str, Any]) -> str:
        """The message for one item.

        Raises:
            InputError: with file and line for whatever goes wrong, and where the message is empty or endless.
        """
        template = self._compiled[0]
        template.environment.spent = 0
        try:
            text: str = template.render(values)
        except Exception as error:
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == self.file]
            where = f", line {lines[-1]}" if lines else ""
            raise InputError(f"{self.file}{where}: {_told(error)} (item '{values.get('id', '')}')") from error
        if not text.strip():
            raise InputError(f"{self.file}: the message is empty for item '{values.get('id', '')}'")
        return text


def read_template(file: Path) -> UserTemplate:
    """The template in a file, compiled once to see its faults.

    Raises:
        InputError: for a file that cannot be read, is no template, or reads a name that there is not.
    """
    template = UserTemplate(read_text(file, "--template"), str(file))
    template.reads("question")
    return template


def read_text(file: Path, flag: str) -> str:
    """The text of a file of templates. Raises `InputError`, naming the flag, where it holds none."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{flag} {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{flag} {file} is not UTF-8 text: save it as UTF-8") from error
    except ValueError as error:
        raise InputError(f"{flag} {file} cannot be read: {error}") from error
    if not text.strip() or len(text) > LONGEST:
        what = "is empty" if not text.strip() else f"is longer than {LONGEST:,} characters"
        raise InputError(f"{flag} {file} {what}: name another file")
    return text


def _told(error: Exception) -> str:
    """What went wrong, in one line; the kind of the error where its message does not say so."""
    line = (str(error).strip().splitlines() or ["no message"])[0][:300]
    own = type(error).__module__.startswith(("jinja2", "telbench"))
    return line if own else f"{type(error).__name__}: {line}"
