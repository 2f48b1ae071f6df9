"""The pages of a board, section by section.

Imports the charts, the model and `page`; of site only `build` imports it.
"""

from __future__ import annotations

from ..page import Section
from ..views.pair_pages import has_pairs, pair_pages
from ..views.recipe_pages import recipe_count, recipe_pages, recipes_path
from .compare import compare_pages, comparisons
from .factors import factor_pages
from .history import history_count, history_pages, several_dates
from .index import index_pages
from .item import item_count, item_pages, prepare_items
from .method import method_pages
from .ranks import rank_pages
from .run import run_pages
from .significance import ranked_tables, significance_pages
from .tradeoff import known_costs, tradeoff_pages

# In the order of the menu.
SECTIONS: tuple[Section, ...] = (
    Section(lambda board: board.home, "Board", index_pages, count=lambda board: len(board.tables), single=True),
    Section(
        recipes_path,
        "Recipes",
        recipe_pages,
        when=lambda board: board.recipes is not None,
        count=recipe_count,
    ),
    Section("runs.html", "Runs", run_pages, count=lambda board: 1 + len(board.runs), single=True),
    Section(
        "items.html",
        "Items",
        item_pages,
        when=lambda board: board.shown != "none",
        count=item_count,
        single=True,
        prepare=prepare_items,
    ),
    Section(
        "compare.html",
        "Compare",
        compare_pages,
        when=lambda board: bool(comparisons(board)),
        count=lambda board: 1 + len(comparisons(board)),
        single=True,
    ),
    Section("pair.html", "Any two", pair_pages, when=has_pairs, single=True),
    Section(
        "significance.html",
        "Significance",
        significance_pages,
        when=lambda board: bool(ranked_tables(board)),
        count=lambda board: len(ranked_tables(board)),
        single=True,
    ),
    Section(
        "ranks.html",
        "Critical difference",
        rank_pages,
        when=lambda board: bool(ranked_tables(board)),
        count=lambda board: len(ranked_tables(board)),
        single=True,
    ),
    Section(
        "tradeoff.html",
        "Size and speed",
        tradeoff_pages,
        when=lambda board: bool(known_costs(board)),
        count=lambda board: len(board.tables),
        single=True,
    ),
    Section(
        "factors.html",
        "Factors",
        factor_pages,
        when=lambda board: bool(board.factors),
        count=lambda board: len(board.tables),
        single=True,
    ),
    Section(
        "history.html",
        "History",
        history_pages,
        when=lambda board: bool(board.history) or several_dates(board),
        count=history_count,
    ),
    Section("method.html", "Method", method_pages),
)
