"""What the tests of proofs run under."""

import pytest


@pytest.fixture(autouse=True)
def _each_proof_is_found_anew(monkeypatch):
    """Other tests share what one of them has proven: here nothing is read that was kept."""
    monkeypatch.setenv("SOFTPROOF_PROOFS", "")
