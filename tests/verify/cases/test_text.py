"""The text of a case is read back exactly, and what is no case is told with its line."""

import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import ARRAY_FORMATS, BINARY16, BINARY32
from softproof.verify.cases.case import Case
from softproof.verify.cases.draw import draw_batch, families
from softproof.verify.cases.text import parse, to_text

SIZES = {"K": 3, "d": 2, "n": 4, "e": 1}
NAMES = [
    "rms_norm",
    "layer_norm",
    "attention",
    "kl_divergence",
    "linear_cross_entropy",
    "sparsemax",
    "softmax",
    "cross_entropy",
    "sigmoid",
]
TEXT = """\
linear_cross_entropy softcap=0x1p+1
hidden[d=2] 0x1p+0 0x1.8p-1
weight[K=2, d=2] 0x0p+0 -0x1p+0 0x1p-149 -0x0p+0
label 1"""


@pytest.mark.parametrize("fmt", ARRAY_FORMATS.values(), ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("name", NAMES)
def test_a_case_is_read_back_to_the_bit(name, fmt):
    definition = lookup(name)
    for family in families(definition):
        batch = draw_batch(definition, family, fmt, SIZES, np.random.default_rng(0))
        for case in batch.cases:
            text = to_text(definition, case)
            found, read = parse(text, fmt)
            assert found is definition
            assert read.key == case.key
            assert to_text(definition, read) == text


def test_the_text_is_one_line_for_each_argument():
    definition, case = parse(TEXT, BINARY32)
    assert definition.name == "linear_cross_entropy"
    assert case.parameters == {"softcap": 2.0}
    assert case.values["weight"].tolist() == [[0.0, -1.0], [2.0**-149, 0.0]]
    assert np.signbit(case.values["weight"][1, 1])
    assert case.values["label"] == 1
    assert to_text(definition, case) == TEXT


def test_what_is_poisoned_can_be_written():
    sparsemax = lookup("sparsemax")
    case = Case({"z": np.array([np.nan, np.inf, -np.inf], np.float32)})
    assert to_text(sparsemax, case) == "sparsemax\nz[K=3] nan inf -inf"
    _, read = parse("sparsemax\nz[K=3] nan inf -inf", BINARY32)
    assert np.isnan(read.values["z"][0])
    assert read.values["z"].tolist()[1:] == [np.inf, -np.inf]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (TEXT, "", "the text of a case is empty"),
        ("linear_cross_entropy", "linear_entropy", "line 1: no definition is called 'linear_ent"),
        ("softcap=", "cap=", "line 1: there is no parameter 'cap'; the parameters are softcap"),
        ("softcap=0x1p+1", "softcap=2", "'2' is no number in hex, as 0x1.8p"),
        ("softcap=0x1p+1", "softcap=-0x1p+1", "line 1: softcap=-0x1p.1 is outside the range"),
        ("hidden", "hiden", "line 2: there is no argument 'hiden'; the arguments are hidden, "),
        ("0x1.8p-1", "0.75", "line 2: '0.75' is no number in hex"),
        ("0x1.8p-1", "", "line 2: hidden has 1 values; its shape"),
        ("0x1.8p-1", "0x1.ffffff8p-1", "line 2: hidden has .*, which is no number of float32"),
        ("[d=2]", "[e=2]", r"line 2: the axes of hidden are \[e=2\]; write hidden\[d=SIZE\]"),
        ("[d=2]", "", r"line 2: the axes of hidden are \[\]"),
        ("K=2, d=2] 0x0p+0 -0x1p+0", "K=2, d=1]", "'weight' has 1 entries along 'd'"),
        ("label 1", "label 2", "label has 2; K has 2 entries"),
        ("label 1", "label one", "line 4: label has 'one', which is not a whole number"),
        ("label 1", "label 1\nlabel 0", "line 5: label stands there twice"),
        ("\nlabel 1", "", "argument 'label' is missing"),
        ("label 1", "?", "line 4: .* is no argument; write it as"),
    ],
)
def test_what_is_wrong_is_told(old, new, told):
    assert old in TEXT
    with pytest.raises(ValueError, match=told):
        parse(TEXT.replace(old, new, 1), BINARY32)


def test_a_label_below_the_least_one_is_told():
    text = "ctc_loss\nlogits[T=1, K=3] 0x0p+0 0x1p+0 0x1p+1\nlabels[L=1] 2"
    _, case = parse(text, BINARY32)
    assert case.values["labels"].tolist() == [2]
    for wrong in ("0", "3"):
        told = f"labels has {wrong}; K has 3 entries and the least is 1"
        with pytest.raises(ValueError, match=told):
            parse(text.replace("[L=1] 2", f"[L=1] {wrong}"), BINARY32)


def test_a_mask_is_written_as_1_and_0_and_a_number_must_lie_in_the_format():
    text = "attention\nq[d=1] 0x1p+0\nk[n=1, d=1] 0x1p+0\nv[n=1, e=1] 0x1p+0\nmask[n=1] 1"
    _, case = parse(text, BINARY16)
    assert case.values["mask"].dtype == np.bool_
    with pytest.raises(ValueError, match="line 5: mask has '2', which is not 0 or 1"):
        parse(text.replace("mask[n=1] 1", "mask[n=1] 2"), BINARY16)
    with pytest.raises(ValueError, match="which is no number of float16"):
        parse(text.replace("0x1p+0", "0x1p+16"), BINARY16)
