"""YAML documents of answers as trees of texts: read safely and within bounds, held against one another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Union

from .conclusion import answer_part, blocks

# A longer text, or a deeper or wider tree, is no configuration that anybody wrote by hand.
LONGEST, DEEPEST, MOST_LEAVES = 50_000, 50, 5_000
# Longer lists are compared place by place: aligning them takes time by the product of their sizes.
_ALIGNED = 200_000
_TRUE, _FALSE, _NULL = {"true", "yes", "on"}, {"false", "no", "off"}, {"", "~", "null"}

Tree = Union[str, "tuple[Tree, ...]", "Mapping[str, Tree]"]


class NoTreeError(ValueError):
    """The text is no YAML mapping or list, or one beyond the bounds; its message says which."""


def tree_in(answer: str) -> Tree:
    r"""The mapping or list that an answer holds: the longest fenced block, else the whole answer.

    Scalars stay texts, as written: quotes and tags do not count. No object is made, whatever a tag asks for.

    Raises:
        NoTreeError: for anything else.

    >>> tree_in("Sure:\n```yaml\namf:\n  port: '7777'\n```")
    {'amf': {'port': '7777'}}
    """
    text = answer_part(answer)
    fenced = list(blocks(text))
    named = [block for block in fenced if block.kind in {"yaml", "yml", "json"}]
    if fenced:
        text = max((named or fenced), key=lambda block: len(block.text)).text
    return parsed(text)


def parsed(text: str) -> Tree:
    """The tree of a YAML text; several documents are a list of them. Raises `NoTreeError`."""
    from yaml import BaseLoader, YAMLError, compose_all

    if len(text) > LONGEST:
        raise NoTreeError(f"longer than {LONGEST:,} characters")
    try:
        roots = list(compose_all(text, Loader=BaseLoader))
        left = [MOST_LEAVES]
        trees = [_tree(root, DEEPEST, left) for root in roots if root is not None]
    except NoTreeError:
        raise
    except (YAMLError, ValueError, RecursionError) as error:
        raise NoTreeError("not YAML") from error
    if not trees or any(isinstance(tree, str) for tree in trees):
        raise NoTreeError("no YAML mapping or list")
    return trees[0] if len(trees) == 1 else tuple(trees)


def _tree(node: object, depth: int, left: list[int]) -> Tree:
    """The texts of a node; ``left`` counts down, so that aliases of aliases are not unfolded without end."""
    import yaml

    left[0] -= 1
    if depth < 0 or left[0] < 0:
        raise NoTreeError("deeper or wider than a configuration is")
    if isinstance(node, yaml.MappingNode):
        return {_key(key): _tree(value, depth - 1, left) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return tuple(_tree(value, depth - 1, left) for value in node.value)
    return node.value if isinstance(node, yaml.ScalarNode) else ""


def _key(node: object) -> str:
    import yaml

    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    raise NoTreeError("a key that is no text")


def leaves(tree: Tree) -> int:
    """How many values a tree holds; an empty mapping or list is one.

    >>> leaves({"a": ("1", "2"), "b": {}})
    3
    """
    if isinstance(tree, str):
        return 1
    inner = tree.values() if isinstance(tree, Mapping) else tree
    return sum(map(leaves, inner)) or 1


def shared(one: Tree, other: Tree, *, values: bool = True) -> int:
    """Leaves that stand at the same path in both, with the same value (or, without ``values``, whatever value).

    Keys have no order. Lists have: their items are aligned so that most leaves are shared, none crossing another.

    >>> shared({"a": ("x", "y", "z")}, {"a": ("x", "z")}), shared({"a": "1"}, {"a": "1.0", "b": "1"})
    (2, 1)
    """
    if isinstance(one, str) or isinstance(other, str):
        if isinstance(one, str) and isinstance(other, str):
            return int(not values or plain_value(one) == plain_value(other))
        return 0
    if isinstance(one, Mapping) != isinstance(other, Mapping):
        return 0
    if not one or not other:
        return int(not one and not other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return sum(shared(value, other[key], values=values) for key, value in one.items() if key in other)
    if leaves(one) * leaves(other) > _ALIGNED:
        return sum(shared(a, b, values=values) for a, b in zip(one, other, strict=False))
    row = [0] * (len(other) + 1)
    for a in one:
        before, row = row, [0]
        for place, b in enumerate(other):
            row.append(max(before[place] + shared(a, b, values=values), before[place + 1], row[place]))
    return row[-1]


def plain_value(text: str) -> str | float:
    """What a scalar says: a number, a truth value, nothing, or the text without outer blanks.

    >>> plain_value("1.0") == plain_value("1"), plain_value("True"), plain_value("~"), plain_value("0x10")
    (True, 'true', 'null', '0x10')
    """
    text = text.strip()
    lower = text.lower()
    if lower in _NULL:
        return "null"
    if lower in _TRUE | _FALSE:
        return "true" if lower in _TRUE else "false"
    # "01" is a code of a network, not the number 1.
    if text[:1].isdigit() or (text[:1] in "+-." and text[1:2].isdigit()):
        if text.lstrip("+-").startswith("0") and text.lstrip("+-")[1:2].isdigit():
            return text
        try:
            return float(text) if "_" not in text else text
        except ValueError:
            return text
    return text
