"""What the tests of the gate share: to be asked some kinds of inputs only, to the end."""

import pytest
from softproof.verify.gate import asking
from softproof.verify.gate.order import in_order, kind_of

FEW = (("overflow", "extremes"), ("accuracy", "wide"))
AT_LEISURE = 1e4  # seconds: what is asked must not depend on how fast a machine is


@pytest.fixture
def only(monkeypatch):
    """A function: from now on, candidates are asked inputs of these kinds, in the usual order."""

    def set_kinds(*kinds):
        monkeypatch.setattr(
            asking, "in_order", lambda items: [i for i in in_order(items) if kind_of(i) in kinds]
        )

    return set_kinds


@pytest.fixture
def few(only):
    """Candidates are asked few kinds of inputs."""
    only(*FEW)
