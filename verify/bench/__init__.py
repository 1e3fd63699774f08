"""Speed as ratios: candidates interleaved in one process on the same arrays, medians."""
