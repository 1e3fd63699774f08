"""Studies behind the plots and tables: precision, collapse, H-consistency bounds, step radii."""
