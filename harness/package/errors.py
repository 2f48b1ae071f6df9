"""The errors a user sees, each with its exit code. Lowest floor, so that every room can raise them."""

from __future__ import annotations


class TelbenchError(Exception):
    """An error whose message is one line for the user: what, where, how to mend it."""

    exit_code = 5


class InputError(TelbenchError):
    """Bad usage or bad input (exit code 2)."""

    exit_code = 2


class IncomparableError(TelbenchError):
    """Runs that were not measured alike (exit code 4)."""

    exit_code = 4


class EngineError(TelbenchError):
    """An engine that failed while it worked; what it had finished is kept (exit code 5)."""

    exit_code = 5


def missing_extra(module: str, extra: str, purpose: str) -> InputError:
    """The one line for a package that is not installed.

    >>> str(missing_extra("vllm", "vllm", "generation with vLLM"))
    "generation with vLLM needs the package 'vllm': pip install 'telbench[vllm]'"
    """
    return InputError(f"{purpose} needs the package '{module}': pip install 'telbench[{extra}]'")
