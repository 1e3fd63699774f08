"""Speed as ratios: candidates interleaved in one process on the same arrays, medians.

What `softproof bench NAME --json FILE` writes is one object:

* `command`, `date` (UTC), `machine`, `versions`: as of `machine.about`;
* `operation`, `dtype`, `rounds`: what was asked for;
* `interrupted`: whether Ctrl-C ended it; `failed`: null, or why the process that keeps its pages
  has no figures;
* `cases`: the entries of `operations.run` and `allocator.run_with_pages_kept`, for softmax,
  log_softmax, logsumexp and cross_entropy; those of `registered.run`, for other definitions, or
  with `--subjects`; or `bad_days`, those of `adversarial_inputs.run`, with `--distributions`; or
  `row_lengths`, those of `row_length.run`, with `--roofline`.
"""
