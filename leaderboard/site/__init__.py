"""The static leaderboard: a folder of pages that opens from a file:// address.

`make_board` (`model/board.py`) reads the runs and measures them. `SECTIONS` (`pages/__init__.py`) have functions from a
`Board` to pages. `render` (`render.py`) makes HTML of a page. `build_site` (`build.py`) writes them all and puts the
folder in place; `serve.py` shows it. Each imports from those before it: `formats`, `page`, `parallel`, `store` and
``charts/``, then ``model/``, ``answers/``, `environment`, ``pages/`` and `render`, `build`, `serve`. What takes long
and rests on one run or two is kept in the `store` for the next build.

A page is added in three steps:

1. a module in ``pages/`` with a function ``(board: Board) -> Iterator[Page]``. A `Page` (`page.py`) is a path inside
   the site (made of `slug`, never of a name), the file name of a template, a title, and what the template is given
   beside ``board``, ``page``, ``root`` and what else `render` gives to all. Its ``menu`` is the path of its section;
2. a template in ``templates/`` that extends ``base.html`` and fills the block ``main``, its heading included.
   Everything is escaped on the way in. Drawings of ``charts/``, which escape for themselves, pass through the filter
   ``drawing``. Texts of unknown origin pass through ``text``, which shows control characters; the other filters are
   the functions of `formats`. ``root`` is the way back to the site's folder ("" or "../"). There is no inline script
   or style: the policy of every page forbids both;
3. a `Section` with its function in `SECTIONS`, which also makes its entry in the menu. ``count`` says how many pages
   there are where that is not one, ``when`` which boards have them, ``single`` that its pages are made in one process.

``telbench leaderboard build RUNS --out SITE`` shows the page; it is made anew when a module or template changed.
"""
