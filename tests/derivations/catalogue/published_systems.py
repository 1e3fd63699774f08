"""What the core papers say of their losses, in plain loops over mpmath numbers."""

from tests.derivations.catalogue.truths import MP, W, X


def ldr_kl(logits, label, temperature=1.0, margin=0.0):
    t = MP.mpf(temperature)
    total = MP.mpf(0)
    for k, score in enumerate(logits):
        delta = score - logits[label] + (MP.mpf(margin) if k != label else 0)
        total += MP.exp(delta / t)
    return [t * MP.log(total / len(logits))]


TRUTHS = {"ldr_kl": ldr_kl}
CASES = {
    "ldr_kl": [
        ((X, 1), {}),
        ((W, 0), {"temperature": 0.5, "margin": 0.25}),
        ((W, 2), {"temperature": 4.0}),
    ]
}
FEW_FACTS: dict[str, str] = {}
NOT_IN_SYMBOLS: set[str] = set()
