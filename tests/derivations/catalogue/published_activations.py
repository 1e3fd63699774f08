"""What the papers on activations say, in plain loops over mpmath numbers."""

from tests.derivations.catalogue.truths import MP, REALS


def mish(x):
    return [x * MP.tanh(MP.log(1 + MP.exp(x)))]


TRUTHS = {f.__name__: f for f in (mish,)}
CASES = {"mish": [((x,), {}) for x in REALS]}
FEW_FACTS = {"mish": "it is neither monotone nor convex, and its lower end is no rational number"}
NOT_IN_SYMBOLS: set[str] = set()
