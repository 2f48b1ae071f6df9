"""Charts as SVG text: pure functions from frozen records, without scripts, fonts or colours of their own.

Every drawing has role ``img``, a ``<title>`` and a ``<desc>`` that say in words what it shows. Colours come from the
style sheet by class, so that light, dark and print each have theirs; no meaning hangs on a colour alone. Row charts
have no view box: widths are per cent, so that their text keeps its size on a phone. Imports nothing of telbench.
"""
