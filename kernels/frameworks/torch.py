"""Radius clipping around any PyTorch optimiser.

It needs PyTorch: ``pip install 'softproof[frameworks]'``.

>>> import torch
>>> _ = torch.manual_seed(0)
>>> model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3))
>>> x, y = torch.randn(64, 8), torch.randint(3, (64,))
>>> optimizer = radius_clip(torch.optim.Adam(model.parameters(), lr=1.0), model)
>>> for _ in range(3):
...     optimizer.zero_grad()
...     loss = torch.nn.functional.cross_entropy(model(x), y)
...     loss.backward()
...     loss = optimizer.step(x)  # the batch: its radius decides
>>> all(record.factor < 1.0 and record.factor * record.r <= 1.0 for record in optimizer.log)
True

What a step does. The parameters are copied, the wrapped optimiser takes its own step - momentum,
second moments and weight decay included - and d is the difference of the parameters after and
before. One Jacobian-vector product at the *old* parameters gives logits and slopes J d, `clip_step`
the factor, and the parameters become old + factor * d. A factor of 1 leaves them as the optimiser
left them, bit for bit. The optimiser's state (moments, step counts) is that of the whole step.

The guarantee factor * r <= r_target is one in exact arithmetic on the logits and slopes that the
model computes in its own precision, and holds for the parameters up to their own rounding.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..training.clip import ClipRecord, check_settings, check_slopes, clip_step
from .torch_wrapper import OptimizerWrapper

# Of the RuntimeError for an autograd.Function in the style of before PyTorch 2.0; those for a
# missing formula are NotImplementedErrors.
_NO_FORWARD_MODE = "functorch transforms"

_Tensors = dict[str, torch.Tensor]

# The first forward-mode product of a process loads PyTorch's rules, and PyTorch 2.13 warns of its
# own use of torch.jit while it does. Nobody who reads that could act on it.
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
    jvp(torch.neg, (torch.zeros(()),), (torch.zeros(()),))


def radius_clip(
    optimizer: torch.optim.Optimizer,
    model: nn.Module,
    *,
    logits: Callable[..., torch.Tensor] | None = None,
    bound: str = "exact",
    aggregate: str | float = "min",
    r: float = 1.0,
    slopes: str = "jvp",
) -> RadiusClip:
    """Wrap an optimiser so that each of its steps stays within r radii of the batch.

    Parameters
    ----------
    optimizer
        Any `torch.optim.Optimizer`, several parameter groups and closures (LBFGS) included. All its
        parameters must belong to `model`; the model may have more (frozen ones, or those of
        another optimiser: they stand still in the computation). For several modules pass an
        `nn.ModuleList` of them, and `logits`.
    model
        The module. Not its wrapper by torch.compile or DistributedDataParallel: what they wrap.
    logits
        logits(model, *inputs) -> tensor of two axes or more, (..., K), the classes last; by default
        model(*inputs). To be given where a model returns something else, has its classes on
        another axis, where padded positions are to be left out, or where one logit z stands for
        two classes, whose logits are then torch.stack([z, torch.zeros_like(z)], -1): a single
        class has no radius and would never be clipped.
    bound, aggregate, r
        As in `clip_step`, and attributes of the result that may be changed while training.
    slopes
        "jvp": one forward-mode product by torch.func, exact but for rounding. "difference": a
        central difference, for models with an operation that PyTorch cannot differentiate in
        forward mode (its fused LSTM, custom functions). Its relative error is of the order of
        u^(2/3), 2e-5 in float32 and 4e-11 in float64, for a model that bends on the scale of its
        parameters, and grows with the square of how much faster it bends: in float32, 6e-4 was
        seen behind a LayerNorm.

    Returns
    -------
    RadiusClip
        An optimiser: use it in place of the wrapped one, with `step(inputs)` for `step()`.
        `log` is its list of records (tau, rho, r, factor), one per step.

    Raises
    ------
    TypeError
        If optimizer or model is something else, or they are in the wrong order.
    ValueError
        If a setting is not one of those above, or a parameter does not belong to the model.
    NotImplementedError
        In a group of several processes: each would clip by its own batch, and the copies of the
        model would drift apart.
    RuntimeError
        PyTorch's own, at a step, for an operation without a forward-mode derivative.

    Notes
    -----
    * The extra forward runs the model in its own mode, training or not. Its buffers are not
      touched (BatchNorm updates a copy). Dropout draws from a fork of the random generators, so
      training goes on with the numbers it would have had; its mask is not that of the loss.
    * Attention runs on the backend that has a forward derivative (SDPBackend.MATH).
    * float16 and bfloat16 logits are converted to float32, which is exact; their own rounding
      remains. Logits are moved to the CPU, where the radius is computed.
    * Hooks of `register_step_post_hook`, the wrapped optimiser's and those of all optimisers, see
      the clipped parameters and the new record in `log`; a step that is refused calls none.
    * GradScaler: `scaler.step(optimizer, inputs)`. Autocast is in force if `step` is called in it.
    * Memory: two copies of the parameters, while `step` runs, and the activations of one forward
      with their derivatives, two layers at a time, as nothing is kept for a backward pass.
    """
    return RadiusClip(
        optimizer,
        model,
        logits=logits,
        bound=bound,
        aggregate=aggregate,
        r=r,
        slopes=slopes,
    )


class RadiusClip(OptimizerWrapper):
    """What `radius_clip` returns; arguments as there. All but `step` is the wrapped optimiser's."""

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        model: nn.Module,
        *,
        logits: Callable[..., torch.Tensor] | None = None,
        bound: str = "exact",
        aggregate: str | float = "min",
        r: float = 1.0,
        slopes: str = "jvp",
    ) -> None:
        _check_types(optimizer, model)
        check_settings(bound, aggregate, r)
        check_slopes(slopes)
        if _processes() > 1:
            raise NotImplementedError(
                "radius_clip works in one process: each of several would clip by its own batch, "
                "and their models would drift apart"
            )
        super().__init__(optimizer)
        self.bound = bound
        self.aggregate = aggregate
        self.r = r
        self.slopes = slopes
        self.log: list[ClipRecord] = []
        self._logits = _Logits(model, logits)
        self._parameters()  # refuses those of another model now, not at the first step

    def step(self, *inputs: Any, closure: Callable[[], Any] | None = None, **keywords: Any) -> Any:
        """Take the optimiser's step, clipped to the radius of this batch, and return its result.

        Parameters
        ----------
        inputs, keywords
            What the model is called with: the batch of the loss, without the labels.
        closure
            For optimisers that want one; passed by its name.

        Returns
        -------
        object
            What the wrapped optimiser returns: the loss of the closure, or None. What the clip did
            is `log[-1]`.

        Raises
        ------
        TypeError
            If the batch is missing, or a function is among the inputs: a closure without its name.
        ValueError
            If the update or the logits hold NaN or inf. The parameters then are those from before
            the step, while the optimiser's own state has taken it.

        Examples
        --------
        Slopes of 100 and -100 along the step: its radius is pi / 200 of it.

        >>> model = torch.nn.Linear(1, 2, bias=False)
        >>> _ = torch.nn.init.zeros_(model.weight)
        >>> optimizer = radius_clip(torch.optim.SGD(model.parameters(), lr=200.0), model)
        >>> x, y = torch.ones(1, 1), torch.tensor([0])
        >>> torch.nn.functional.cross_entropy(model(x), y).backward()
        >>> optimizer.step(x)
        >>> round(optimizer.log[-1].factor * 200, 6)
        3.141593
        """
        if not (inputs or keywords) or any(map(_is_function, inputs)):
            raise TypeError(
                "step needs the batch that the model is called with: step(inputs), "
                "or step(inputs, closure=closure)"
            )
        parameters = self._parameters()
        old = {name: p.detach().clone() for name, p in parameters.items()}

        def clip() -> None:
            try:
                with torch.no_grad():
                    update = {name: p - old[name] for name, p in parameters.items()}
                    record = self._record(old, update, inputs, keywords)
                    if record.factor < 1.0:
                        for name, p in parameters.items():
                            p.copy_(torch.add(old[name], update[name], alpha=record.factor))
            except BaseException:
                with torch.no_grad():
                    for name, p in parameters.items():
                        p.copy_(old[name])
                raise
            self.log.append(record)

        return self._step_and(clip, closure)

    def _step_and(self, clip: Callable[[], None], closure: Callable[[], Any] | None) -> Any:
        """Take the wrapped optimiser's step and clip it before any hook sees the parameters.

        PyTorch calls the post hooks of an optimiser, and those of all optimisers, at the end of its
        own step: the clip is the first of them for this one step. A subclass that calls the step of
        its base calls them there too, in the middle: the outermost end is that of the step. An
        optimiser without hooks (one that never called Optimizer.__init__) is clipped when its step
        has returned.
        """
        arguments = () if closure is None else (closure,)
        hooked = self.optimizer
        while isinstance(hooked, OptimizerWrapper):
            hooked = hooked.optimizer
        if not getattr(type(hooked).step, "hooked", False):
            result = self.optimizer.step(*arguments)
            clip()
            return result
        depth = 0

        def enter(*_: Any) -> None:
            nonlocal depth
            depth += 1

        def leave(*_: Any) -> None:
            nonlocal depth
            depth -= 1
            if depth == 0:
                clip()

        handles = hooked.register_step_pre_hook(enter), hooked.register_step_post_hook(leave)
        hooked._optimizer_step_post_hooks.move_to_end(handles[1].id, last=False)
        try:
            return self.optimizer.step(*arguments)
        finally:
            for handle in handles:
                handle.remove()

    def _record(
        self, old: _Tensors, update: _Tensors, inputs: tuple[Any, ...], keywords: dict[str, Any]
    ) -> ClipRecord:
        tau = _norm(update)
        if not math.isfinite(tau):
            raise ValueError(
                f"the update of {type(self.optimizer).__name__} holds NaN or inf: its gradients "
                "have diverged, look for their source in the loss; the parameters are those from "
                "before the step"
            )

        def forward(parameters: _Tensors) -> torch.Tensor:
            # Copies for BatchNorm to write on; made here, as jvp forbids writing on outer tensors.
            buffers = {name: b.clone() for name, b in self._logits.named_buffers()}
            with _fork_generators(old):
                logits = functional_call(self._logits, {**parameters, **buffers}, inputs, keywords)
            if not isinstance(logits, torch.Tensor):
                raise TypeError(
                    f"the model returns a {type(logits).__name__}, not a tensor of logits: pass "
                    "logits=lambda model, *inputs: ..."
                )
            return logits

        with _differentiable_kernels():
            if self.slopes == "jvp":
                z, a = _jvp(forward, old, update)
            else:
                z, a = _central_difference(forward, old, update, tau)
        return clip_step(
            _rows(z), _rows(a), tau, bound=self.bound, aggregate=self.aggregate, r=self.r
        )

    def _parameters(self) -> dict[str, nn.Parameter]:
        """The parameters that the optimiser moves, under their names in the model."""
        names = {id(p): name for name, p in self._logits.named_parameters()}
        parameters = {}
        for i, group in enumerate(self.param_groups):
            for p in group["params"]:
                if id(p) not in names:
                    raise ValueError(
                        f"a parameter of shape {tuple(p.shape)} in group {i} of the optimizer does "
                        "not belong to the model: pass the model whose parameters it moves"
                    )
                parameters[names[id(p)]] = p
        return parameters

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As the wrapped optimiser; ValueError, and no new group, if one is not the model's."""
        super().add_param_group(param_group)
        try:
            self._parameters()
        except ValueError:
            self.optimizer.param_groups.pop()
            raise

    def __repr__(self) -> str:
        return f"radius_clip({self.optimizer!r}, {self.bound}, {self.aggregate}, r={self.r})"


class _Logits(nn.Module):  # type: ignore[misc]
    """The model as a module that returns logits, so that functional_call can reach all of it."""

    def __init__(self, model: nn.Module, function: Callable[..., torch.Tensor] | None) -> None:
        super().__init__()
        self.model = model
        self.function = function

    def forward(self, *inputs: Any, **keywords: Any) -> Any:
        if self.function is None:
            return self.model(*inputs, **keywords)
        return self.function(self.model, *inputs, **keywords)


def _check_types(optimizer: object, model: object) -> None:
    usage = "radius_clip(torch.optim.SGD(model.parameters(), lr=0.1), model)"
    if isinstance(optimizer, nn.Module) and isinstance(model, torch.optim.Optimizer):
        raise TypeError(f"optimizer and model are in the wrong order: call {usage}")
    for name, value, wanted in (
        ("optimizer", optimizer, torch.optim.Optimizer),
        ("model", model, nn.Module),
    ):
        if not isinstance(value, wanted):
            raise TypeError(
                f"{name} must be a torch {wanted.__name__}, got {type(value).__name__}: "
                f"call {usage}"
            )


def _is_function(value: object) -> bool:
    """Whether a value passed as input of the model must be a closure."""
    return callable(value) and not isinstance(value, torch.Tensor | nn.Module)


def _processes() -> int:
    distributed = torch.distributed
    started = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if started else 1


def _jvp(
    forward: Callable[[_Tensors], torch.Tensor], old: _Tensors, update: _Tensors
) -> tuple[torch.Tensor, torch.Tensor]:
    try:
        z, a = jvp(forward, (old,), (update,))
    except RuntimeError as error:  # NotImplementedError among them
        if isinstance(error, NotImplementedError) or _NO_FORWARD_MODE in str(error):
            error.add_note("The model has no forward-mode derivative: pass slopes='difference'.")
        raise
    return z, a


def _central_difference(
    forward: Callable[[_Tensors], torch.Tensor], old: _Tensors, update: _Tensors, tau: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(z(old + h d) - z(old - h d)) / 2h: truncation h^2 |z'''| / 6, rounding u |z| / h.

    Both are of the order u^(2/3) where h |d| = u^(1/3) |old|, if the model varies on the scale of
    its parameters.
    """
    u = max(torch.finfo(p.dtype).eps for p in old.values())
    h = u ** (1 / 3) * (_norm(old) or 1.0) / (tau or 1.0)

    def at(step: float) -> torch.Tensor:
        moved = {name: torch.add(p, update[name], alpha=step) for name, p in old.items()}
        return _widened(forward(moved))

    return forward(old), (at(h) - at(-h)) / (2.0 * h)


def _norm(tensors: _Tensors) -> float:
    """The Euclidean norm of all entries together, summed in float32 at least."""
    return math.hypot(
        *(
            float(torch.linalg.vector_norm(t, dtype=torch.promote_types(t.dtype, torch.float32)))
            for t in tensors.values()
        )
    )


def _widened(logits: torch.Tensor) -> torch.Tensor:
    """float16 and bfloat16 to float32, exactly; others as they are."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _rows(logits: torch.Tensor) -> Any:
    """An array of shape (N, K) for the radius."""
    if logits.ndim == 0:
        raise ValueError("logits must have shape (..., classes), got a scalar: not the loss")
    if logits.ndim == 1:
        raise ValueError(
            f"logits must have shape (samples, classes), got ({len(logits)},): where the model "
            "gives one logit z per sample, pass logits=lambda model, *inputs: "
            "torch.stack([z, torch.zeros_like(z)], -1) with z = model(*inputs); where it gives the "
            "classes of a single sample, logits=lambda model, *inputs: model(*inputs)[None]"
        )
    return _widened(logits.detach()).reshape(-1, logits.shape[-1]).cpu().numpy()


@contextlib.contextmanager
def _fork_generators(parameters: _Tensors) -> Iterator[None]:
    """Give dropout random numbers without taking them from the training."""
    gpus = {p.device.index for p in parameters.values() if p.device.type == "cuda"}
    with torch.random.fork_rng(devices=sorted(gpus)):
        yield


@contextlib.contextmanager
def _differentiable_kernels() -> Iterator[None]:
    """Keep attention off fused kernels, which have no forward-mode derivative."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
