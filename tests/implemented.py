"""The definitions that some implementation is known of: what the engine does is tested on these.

The others, functions of papers, are asked for what their authors could have got wrong
(``tests/derivations/catalogue/test_published.py``), since each costs seconds in every other test.
"""

from softproof.derivations import REGISTRY
from softproof.verify.subjects.built_in import BUILT_IN

_NAMES = {subject.definition for subject in BUILT_IN}
IMPLEMENTED = {name: d for name, d in REGISTRY.items() if name in _NAMES}
OF_A_ROW = [d for d in IMPLEMENTED.values() if d.of_a_row]
OF_NAMED_ARGUMENTS = [d for d in IMPLEMENTED.values() if not d.of_a_row]
