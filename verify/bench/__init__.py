"""Speed as ratios: candidates interleaved in one process on the same arrays, medians.

What `softproof bench softmax --json FILE` (and log_softmax, logsumexp, cross_entropy) writes is one
object:

* `command`, `date` (UTC), `machine`, `versions`: as of `machine.about`;
* `operation`, `dtype`, `rounds`: what was asked for;
* `interrupted`: whether Ctrl-C ended it; `failed`: null, or why the process that keeps its pages
  has no figures;
* `cases`: the entries of `kernels.run` and `allocator.run_with_pages_kept`; or `bad_days`, those of
  `bad_days.run`, with `--distributions`; or `row_lengths`, those of `row_length.run`, with
  `--roofline`.
"""
