"""Figures for papers and reports: ``softproof plot KIND --output FILE``.

A kind is a module of this package with one public function

    def plot(..., progress: Progress = ignore) -> Plot

whose arguments are the options of the command, each with a default, so that ``plot()`` draws
something; that calls ``progress(done, total)`` where it computes for long; and that raises
ValueError, OSError or SubjectError, with a message for the user, for what it cannot draw.  It
returns a `Plot`: the figure, the numbers it shows as the rows of a table, and the command that made
it, which `style.command` writes and the caption shows.  It never shows a window and leaves
Matplotlib's global state alone.

To add a kind: that module, drawn with `style`, and a command of a few lines in ``cli/plot.py``.

>>> from softproof.verify.plots import precision
>>> plot = precision.plot("stablemax", precisions=[8, 11, 24, 53])
>>> plot.command
'softproof plot precision stablemax --output FILE'
>>> plot.columns
('series', 'format', 'p', 'error')
"""
