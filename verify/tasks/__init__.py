"""Tasks of others, in the formats of their benchmarks, judged by the gate or by their reference."""
