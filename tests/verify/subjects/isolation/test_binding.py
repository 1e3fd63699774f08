"""A batch of points goes into a model whose axes are elsewhere, and comes back as it was."""

import numpy as np
import pytest
from softproof.verify.subjects.isolation.binding import Binding, Place
from softproof.verify.subjects.subject import NotApplicable

RNG = np.random.default_rng(0)


def softmax(x, axis):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def through(binding, model, *arguments):
    results = [model(*inputs) for inputs, _ in binding.parts(arguments)]
    return binding.joined(results, arguments)


@pytest.mark.parametrize(("rank", "axis"), [(1, 0), (2, 0), (2, 1), (4, 0), (4, 1), (4, 3)])
@pytest.mark.parametrize("batch", [(6,), (2, 3), ()])
def test_a_row_may_lie_along_any_axis(rank, axis, batch):
    x = RNG.standard_normal((*batch, 5))
    place = Place(0, rank, (axis, axis + 1))
    binding = Binding([["K"]], [], [place], ["K"], singly=rank == 1)
    np.testing.assert_allclose(through(binding, lambda y: softmax(y, axis), x), softmax(x, -1))


def test_a_row_may_lie_along_several_axes_with_its_size_in_the_last():
    x = RNG.standard_normal((4, 6))
    binding = Binding(
        [["K"]], [], [Place(0, 3, (1, 3))], ["K"], sizes=(9, 7, 8), feeds={"K": [2]}, ones=[1]
    )
    ((given,), sizes), *_ = binding.parts([x])
    assert (given.shape, sizes) == ((4, 1, 6), [9, 1, 6])
    found = through(binding, lambda y: softmax(y.reshape(4, -1), 1).reshape(y.shape), x)
    np.testing.assert_allclose(found, softmax(x, -1))


def test_queries_are_repeated_and_the_last_copy_is_taken():
    q, k, v = (RNG.standard_normal(shape) for shape in ((3, 4), (3, 5, 4), (3, 5, 4)))
    places = [Place(0, 4, (3, 4), 2), Place(1, 4, (2, 4)), Place(2, 4, (2, 4))]
    binding = Binding([["d"], ["n", "d"], ["n", "d"]], [], places, ["d"], copies="n")

    def model(q, k, v):
        assert q.shape == k.shape == (3, 1, 5, 4)
        return softmax(q @ k.swapaxes(-1, -2), -1) @ v

    weights = softmax(np.einsum("bd,bnd->bn", q, k), -1)
    np.testing.assert_allclose(
        through(binding, model, q, k, v), np.einsum("bn,bnd->bd", weights, v)
    )


def test_a_model_that_reduces_a_batch_is_called_for_each_point():
    x, labels = RNG.standard_normal((4, 3)), np.array([0, 1, 2, 0])
    places = [Place(0, 2, (1, 2)), Place(1, 1, (1, 1))]
    binding = Binding([["K"], []], [], places, [], singly=True)
    found = through(
        binding,
        lambda x, y: np.array(-np.log(softmax(x, 1))[np.arange(len(y)), y].mean()),
        x,
        labels,
    )
    np.testing.assert_allclose(found, -np.log(softmax(x, 1))[np.arange(4), labels])


def test_one_gain_is_shared_by_all_points():
    x, gain = RNG.standard_normal((4, 3)), RNG.standard_normal(3)
    places = [Place(0, 2, (1, 2)), Place(1, 1, (0, 1))]
    binding = Binding([["K"], ["K"]], [1], places, ["K"])
    np.testing.assert_array_equal(through(binding, lambda x, g: x * g, x, gain), x * gain)


def test_a_size_that_a_task_cannot_have_is_not_applicable():
    binding = Binding([["K"]], [], [Place(0, 2, (1, 2))], ["K"], fixed={"K": 8})
    with pytest.raises(NotApplicable, match="8 entries along K"):
        list(binding.parts([np.zeros((2, 3))]))


def test_a_result_of_another_size_is_given_as_it_is():
    binding = Binding([["K"]], [], [Place(0, 2, (1, 2))], ["K"])
    assert through(binding, lambda x: x[:, :1], np.zeros((2, 3))).shape == (2, 1)
