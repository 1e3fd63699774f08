"""What attention is made of: its log-sum-exp, parts of the keys merged by it, sinks, causal masks.

Every form, in balls; the truth is in plain loops over mpmath numbers where it is no other formula.
"""

import flint
import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.systems import balls

from tests.derivations.catalogue.truths import MP

FORMS = [
    (name, form)
    for name in ("attention", "sink_attention")
    for form in ("as published", *lookup(name).forms)
]
XP = balls()
Q = (0.5, -1.25, 2.0)
KEYS = ((1.0, 0.25, -0.5), (-1.5, 0.75, 0.125), (0.5, 1.0, -0.25), (2.0, -0.5, 0.0))
VALUES = ((0.5, -1.0), (2.0, 0.25), (-0.75, 1.5), (1.0, 3.0))
SINK = 0.75
MASK = np.array([True, True, False, True])
WITHIN = 2.0**-180


@pytest.fixture(autouse=True)
def _precise():
    with flint.ctx.workprec(200):
        yield


def both(name, form="as published", mask=MASK, **parameters):
    """The result and the log-sum-exp."""
    whole = lookup(name).with_further
    formula = whole.forms.get(form, whole.formula)
    sink = [XP.number(SINK)] if name == "sink_attention" else []
    arguments = [XP.array(a) for a in (Q, KEYS, VALUES)]
    return formula(*arguments, mask, *sink, XP, **parameters)


def close(found, exact, within=WITHIN):
    pairs = zip(np.ravel(found), np.ravel(exact), strict=True)
    return all(abs(a - b) < within for a, b in pairs)


@pytest.mark.parametrize("softcap", [0.0, 2.0])
@pytest.mark.parametrize("scale", [None, 1.5])
@pytest.mark.parametrize(("name", "form"), FORMS)
def test_the_log_sum_exp_is_that_of_the_scores_that_are_kept(name, form, scale, softcap):
    factor = 1 / MP.sqrt(3) if scale is None else MP.mpf(scale)
    scores = []
    for key, kept in zip(KEYS, MASK, strict=True):
        score = factor * sum(MP.mpf(a) * MP.mpf(b) for a, b in zip(Q, key, strict=True))
        score = softcap * MP.tanh(score / softcap) if softcap else score
        scores += [score] if kept else []
    scores += [MP.mpf(SINK)] if name == "sink_attention" else []
    exact = MP.log(sum(MP.exp(s) for s in scores))
    _, lse = both(name, form, scale=scale, softcap=softcap)
    assert close(lse, flint.arb(MP.nstr(exact, 45)), 2.0**-140)


@pytest.mark.parametrize("form", ["as published", *lookup("attention").forms])
def test_parts_of_the_keys_are_merged_by_their_log_sum_exp(form):
    for first in ([1, 0, 0, 0], [0, 1, 0, 1], [1, 1, 0, 0]):
        one, l_one = both("attention", form, MASK & np.array(first, dtype=bool))
        two, l_two = both("attention", form, MASK & ~np.array(first, dtype=bool))
        value, lse = both("attention", form)
        merged = XP.logsumexp(XP.stack([l_one, l_two]))
        weights = XP.exp(l_one - merged), XP.exp(l_two - merged)
        assert close(lse, merged)
        assert close(value, one * weights[0] + two * weights[1])
        assert not close(value, (one + two) / 2)


def test_a_sink_takes_its_share_of_the_weight():
    value, lse = both("attention")
    with_sink, l_sink = both("sink_attention")
    assert close(with_sink, value * XP.exp(lse - l_sink))
    assert close(l_sink, XP.logsumexp(XP.stack([lse, XP.number(SINK)])))


def test_causal_attention_is_that_of_masks():
    """Row i of the softmax of all products, with the entries behind the diagonal dropped."""
    queries = XP.array(KEYS)
    scores = XP.dot(queries, queries.T) / XP.sqrt(XP.number(3))
    for i in range(4):
        e = [XP.exp(scores[i][j]) for j in range(i + 1)]
        total = XP.sum(e)
        exact = [
            XP.sum([w / total * XP.number(v[c]) for w, v in zip(e, VALUES, strict=False)])
            for c in range(2)
        ]
        found = lookup("attention")(queries[i], queries, XP.array(VALUES), np.arange(4) <= i, XP)
        assert close(found, exact)
