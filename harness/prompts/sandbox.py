"""Where a user's template runs: Jinja2 without access to anything but what it is given, and with an end to its work."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sized
from functools import partial
from typing import Any

from jinja2 import StrictUndefined, Template, meta, nodes, pass_context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

# Characters written, rounds of loops and calls that one prompt may take, all together: more than any context has
# before it is cut.
WORK = 10_000_000
# What a call costs: as long as it takes, beside a round of an empty loop.
CALL = 100
# Of numbers that a template computes: widths and repetitions are made of them.
LARGEST = 10**9
_LARGEST_EXPONENT = 64
# Filters that make text of any length of a number.
_WIDENING = ("center", "indent", "format")
# A width in a format such as %99999999d, or one that an argument gives.
_WIDE = re.compile(r"\d{7,}|\*|:[^}]*\{")


class TooMuchWorkError(Exception):
    """A template that writes too much, or does not end."""

    def __init__(self) -> None:
        super().__init__(f"it writes or repeats more than {WORK:,} characters, rounds of loops and calls")


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of one template. What it does is counted, so that the same prompt fails on every machine.

    A limit in seconds would refuse a prompt where the machine is slow, and cannot interrupt every thread.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=self._written)
        self.spent = 0
        self.filters |= {"counted_": _counted, "joined_": _joined}
        self.filters |= {name: partial(_narrow, self.filters[name]) for name in _WIDENING}
        # The same item has to give the same prompt.
        del self.filters["random"], self.globals["lipsum"]

    def template(self, text: str, file: str) -> tuple[Template, dict[str, int]]:
        """The compiled template, and the names that it reads with the line where each stands first.

        Raises:
            jinja2.TemplateSyntaxError: for what is no template.
        """
        tree = self.parse(text, filename=file)
        unknown = meta.find_undeclared_variables(tree) - self.globals.keys()
        lines: dict[str, int] = {}
        for name in tree.find_all(nodes.Name):
            if name.name in unknown:
                lines.setdefault(name.name, name.lineno)
        counted = _Counting().visit(tree)
        counted.set_environment(self)
        code = self.compile(counted, filename=file)
        return Template.from_code(self, code, self.make_globals(None)), lines

    def spend(self, amount: int) -> None:
        """Count so much work. Raises `TooMuchWorkError` where there has been enough."""
        self.spent += amount
        if self.spent > WORK:
            raise TooMuchWorkError

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as the base class
        """Call something, as the template asks."""
        __self.spend(CALL)
        # jinja wraps a text's own format and format_map.
        _refuse_widths(getattr(getattr(__obj, "__wrapped__", None), "__self__", None), args)
        found = super().call(__context, __obj, *args, **kwargs)
        if isinstance(found, Sized):
            __self.spend(len(found))
        return found

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Add, multiply or raise, as far as the result is not too large to be made."""
        sized = [len(side) for side in (left, right) if isinstance(side, Sized)]
        if operator == "**" and abs(right) > _LARGEST_EXPONENT:
            raise TooMuchWorkError
        if operator == "%":
            _refuse_widths(left, ())
        if sized and operator == "+":
            self.spend(sum(sized))
        elif sized and operator == "*":
            times = right if isinstance(left, Sized) else left
            self.spend(sized[0] * max(0, times))
        found = super().call_binop(context, operator, left, right)
        if isinstance(found, int | float) and abs(found) > LARGEST:
            raise TooMuchWorkError
        return found

    def _written(self, value: Any) -> Any:
        if isinstance(value, Sized):
            self.spend(len(str(value)))
        return value


class _Counting(NodeTransformer):
    """Has every round of a loop counted, with the text that stands in it, and every text that ``~`` joins."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - as jinja calls it
        weight = 1 + sum(len(text.data) for text in node.find_all(nodes.TemplateData))
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, "counted_", [nodes.Const(weight)], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - as jinja calls it
        self.generic_visit(node)
        return nodes.Filter(nodes.List(node.nodes), "joined_", [], [], None, None, lineno=node.lineno)

    def visit_Const(self, node: nodes.Const) -> nodes.Node:  # noqa: N802 - as jinja calls it
        if isinstance(node.value, int | float) and abs(node.value) > LARGEST:
            raise TooMuchWorkError
        return node


def _refuse_widths(text: object, args: Iterable[object]) -> None:
    """Refuse what would be padded to more than a prompt may hold, before it is made."""
    if isinstance(text, str) and _WIDE.search(text):
        raise TooMuchWorkError
    if any(isinstance(each, int) and each > WORK for each in args):
        raise TooMuchWorkError


def _narrow(filter_: Callable[..., Any], value: Any, *args: Any, **kwargs: Any) -> Any:
    _refuse_widths(value if "format" in filter_.__name__ else None, (*args, *kwargs.values()))
    return filter_(value, *args, **kwargs)


@pass_context
def _counted(context: Any, values: Iterable[Any], weight: int) -> Iterator[Any]:
    for value in values:
        context.environment.spend(weight)
        yield value


@pass_context
def _joined(context: Any, parts: Iterable[Any]) -> str:
    texts = [str(part) for part in parts]
    context.environment.spend(sum(map(len, texts)))
    return "".join(texts)
