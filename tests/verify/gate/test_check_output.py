"""A function for somebody else's harness: is this output right for this input?"""

import numpy as np
import pytest
from softproof.verify.gate import checker

from tests.verify.gate import candidates

RNG = np.random.default_rng(3)


def test_right_and_wrong_outputs_of_rows():
    x = (8 * RNG.standard_normal((4, 5, 300))).astype(np.float32)
    check = checker("softmax")
    right = candidates.right(x)
    assert check(x, right) == (True, "")
    assert check(x, right[..., :-1])[1] == "shape (4, 5, 299), expected (4, 5, 300)"
    assert check(x, right.astype(np.float64))[1] == "dtype float64, expected float32"
    wrong = right.copy()
    wrong[3, 4, 299] += np.float32(1e-4)
    told = check(x, wrong)
    assert not told[0]
    assert "at point [3, 4], number 299" in told[1]
    assert "ulp" in told[1]


def test_the_first_and_the_last_of_many_points_are_judged():
    x = RNG.standard_normal((2000, 8)).astype(np.float32)
    check = checker("softmax", points=4)
    for row in (0, 1999):
        wrong = candidates.right(x)
        wrong[row] = 0
        assert not check(x, wrong)[0]


def test_arguments_go_by_order_or_by_name_with_parameters():
    x = RNG.standard_normal((3, 7)).astype(np.float32)
    gain = RNG.standard_normal(7).astype(np.float32)
    wide = x.astype(np.float64)
    root = np.sqrt(np.mean(wide * wide, axis=-1, keepdims=True) + 0.5)
    output = (wide / root * gain).astype(np.float32)
    check = checker("rms_norm", parameters={"eps": 0.5})
    assert check((x, gain), output) == (True, "")
    assert check({"gain": gain, "x": x}, output) == (True, "")
    assert not checker("rms_norm")((x, gain), output)[0]


def test_tensors_are_taken():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = torch.randn(4, 9, generator=torch.Generator().manual_seed(1)).bfloat16()
    check = checker("softmax")
    assert check(x, torch.softmax(x.double(), -1).bfloat16()) == (True, "")
    assert not check(x, x.softmax(-1) * 1.05)[0]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ((np.zeros((2, 3), np.float32),) * 2, "2 arrays"),
        (np.zeros((2, 3), np.int64), "int64"),
    ],
)
def test_data_that_are_no_arguments_are_an_error(data, told):
    with pytest.raises(ValueError, match=told):
        checker("softmax")(data, np.zeros((2, 3), np.float32))


def test_a_definition_that_there_is_not_is_an_error():
    with pytest.raises(ValueError, match="soft"):
        checker("softmacks")
