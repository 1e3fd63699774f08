"""The transform of the H-consistency bounds of comp-sum losses."""
