"""One formula over many number systems: symbols, balls, big floats, IEEE formats, p bits."""
