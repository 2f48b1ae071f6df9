"""The static leaderboard: a folder of pages that opens from a file:// address.

`make_board` reads the runs and measures them (`model/board.py`); `SECTIONS` (`pages/__init__.py`) have functions from a
`Board` to pages; `build_site` (`build.py`) renders them and puts the folder in place.

A page is added in three steps:

1. a module in ``pages/`` with a function ``(board: Board) -> Iterator[Page]``. A `Page` is a path inside the site
   (made of `slug`, never of a name), the file name of a template, a title, and what the template is given beside
   ``board``, ``page``, ``root`` and ``menu``;
2. a template in ``templates/`` that extends ``base.html`` and fills the blocks ``title`` and ``main``. Everything is
   escaped on the way in; drawings of ``charts/``, which escape for themselves, pass through the filter ``drawing``.
   Texts of unknown origin pass through ``text``, which shows control characters. ``root`` is the way back to the
   site's folder ("" or "../"). There is no inline script or style: the policy of every page forbids both;
3. a `Section` with its function in `SECTIONS`, which also makes its entry in the menu.
"""
