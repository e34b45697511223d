"""Watch how gradients flow through a model, without touching what is computed.

Around any training code:

    with GradFlow(model) as flow:
        train(model)
        print(flow.report())

In a loop of one's own, where the hooks exist only during the steps that are measured:

    flow = GradFlow(model, every=100)
    for step, batch in enumerate(batches):
        flow.begin(step)
        loss(model, batch).backward()
        flow.after_backward()  # before clipping
        optimizer.step()
        flow.after_step()  # before zero_grad
        optimizer.zero_grad()
    flow.close()
"""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.utils.hooks import RemovableHandle

from allmlp.errors import AllmlpError, check_integers
from allmlp.training.flow_measurement import Measurement, own_modules
from allmlp.training.flow_pending import Pending
from allmlp.training.flow_record import FlowRecord
from allmlp.training.flow_report import FlowReport

__all__ = ["GradFlow"]


class GradFlow:
    """Gradient norms, update ratios, dead and saturated units, the first NaN, and a verdict.

    Measured are the forward passes with gradients enabled, their backward passes and the step that
    follows; micro-batches of one step are summed. Nothing computed is changed, no random number is
    drawn, and sums stay on the device until `records`, `drain` or `report` asks for them. A
    measured step costs a few passes over activations and weights and one copy of the trainable
    weights; other steps next to nothing.

    A part is seen when it runs inside a call of the model or of one of its blocks. Parts that are
    compiled, or under reentrant checkpointing, run unseen; their parameters are measured as ever.
    With sharded or replicated models each process sees the activations of its own batch.

    Args:
        model: any module; shared modules and parameters are counted once, frozen ones not at all.
        every: optimizer steps from one measured step to the next; step 0 is measured.

    Raises:
        AllmlpError: `every` is no positive integer, or the context is entered twice.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> with GradFlow(model) as flow:
        ...     model(torch.randn(64, 4)).square().mean().backward()
        >>> flow.report().verdicts[0].kind
        'healthy'
    """

    def __init__(self, model: nn.Module, *, every: int = 1):
        check_integers("GradFlow", minimum=1, every=every)
        self._model = model
        self._every = every
        self._step = 0
        self._measurement: Measurement | None = None  # of the step under way
        self._inside = False  # the context
        self._stepping = False
        self._stepped: set[int] = set()  # the optimizers that have taken this step
        # the modules being executed, outermost first, with the weights of those they called
        self._stack: list[tuple[nn.Module, set[int]]] = []
        self._watched: set[nn.Module] = set()
        self._watching = False  # this pass
        self._context_hooks: list[RemovableHandle] = []
        self._step_hooks: list[RemovableHandle] = []
        self._pass_hooks: list[RemovableHandle] = []
        self._pending: list[Pending] = []
        self._records: list[FlowRecord] = []
        self._last: FlowRecord | None = None
        self._broken: FlowRecord | None = None  # the first that is not finite

    # driven by a loop

    def begin(self, step: int) -> None:
        """A step begins; if it is to be measured, hooks stay until `after_step`.

        Args:
            step: optimizer steps taken so far, those of a resumed run included.
        """
        self._finish()
        self._step = step
        self._stepped.clear()
        if step % self._every == 0:
            self._measurement = Measurement(self._model, step)
            if self._inside:
                self._watch_accumulation(self._measurement)
            else:
                self._step_hooks += self._watch_calls()

    def after_backward(self) -> None:
        """All backward passes of the step are done, clipping is not."""
        if self._measurement is not None:
            for name in self._measurement.parameters:
                self._measurement.see_gradient(name)
            self._measurement.copy_weights()

    def after_step(self) -> None:
        """The optimizer has moved the weights, and the gradients are still there.

        Raises:
            AllmlpError: `after_backward` was forgotten.
        """
        if self._measurement is not None:
            self._measurement.see_updates()
        if self._inside:
            self.begin(self._step + 1)
        else:
            self._finish()

    def close(self) -> None:
        """Finish what is being measured and take off every hook."""
        self._finish()
        self._inside = False
        _remove(self._context_hooks)
        self._watched.clear()

    # driven by hooks

    def __enter__(self) -> "GradFlow":
        if self._inside:
            raise AllmlpError("GradFlow watches one context at a time, got a second; make another")
        self._inside = True
        self._context_hooks = [
            *self._watch_calls(),
            register_optimizer_step_pre_hook(_weak(self._before_step)),
            register_optimizer_step_post_hook(_weak(self._after_step)),
        ]
        self.begin(self._step)
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _watch_accumulation(self, measurement: Measurement) -> None:
        # read as they accumulate: nobody says when the last backward pass of a step is over
        for name, parameter in measurement.parameters.items():
            hook = _weak(self._after_accumulation, name)
            self._step_hooks.append(parameter.register_post_accumulate_grad_hook(hook))

    def _after_accumulation(self, name: str, _: Tensor) -> None:
        if self._measurement is not None:
            self._measurement.see_gradient(name)

    def _before_step(self, optimizer: Optimizer, *_: object) -> None:
        if not self._trains(optimizer):
            return
        if id(optimizer) in self._stepped:
            self.begin(self._step + 1)
        self._stepping = True  # an optimizer that evaluates a closure calls the model within
        if self._measurement is not None:
            self._measurement.copy_weights()

    def _after_step(self, optimizer: Optimizer, *_: object) -> None:
        if not self._trains(optimizer):
            return
        # another optimizer may take its part of the step: it ends when the model is called again
        self._stepping = False
        self._stepped.add(id(optimizer))
        if self._measurement is not None:
            self._measurement.see_updates()

    def _trains(self, optimizer: Optimizer) -> bool:
        known = {id(p) for p in self._model.parameters()}
        return any(id(p) in known for group in optimizer.param_groups for p in group["params"])

    # calls of modules

    def _watch_calls(self) -> list[RemovableHandle]:
        """Hooks that notice when the outermost module is called and when it returns.

        Only modules with children carry them; the others get theirs for the duration of a measured
        pass. `layers.Mlp` computes otherwise while its parts are hooked, which in an evaluation
        between two steps would move the last digits.
        """
        modules = [module for _, module in own_modules(self._model)]
        self._watched = {m for m in modules if m is self._model or any(m.children())}
        hooks = []
        for m in self._watched:
            hooks.append(m.register_forward_pre_hook(_weak(self._before_call)))
            hooks.append(m.register_forward_hook(_weak(self._after_call), always_call=True))
        return hooks

    def _before_call(self, module: nn.Module, _: object) -> None:
        # a copy of the model carries copies of the hooks; parts are called during the backward
        # pass when checkpointing recomputes them
        if module not in self._watched or _in_backward():
            return
        if not self._stack and torch.is_grad_enabled():
            self._start_pass()
        self._stack.append((module, set()))

    def _start_pass(self) -> None:
        if self._stepped and not self._stepping:
            self.begin(self._step + 1)
        if self._measurement is None:
            return
        self._measurement.start_pass()
        self._watching = True
        for module in self._measurement.names:
            if module not in self._watched:
                hook = module.register_forward_hook(_weak(self._after_leaf))
                self._pass_hooks.append(hook)

    def _after_leaf(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if self._stack and not _in_backward():
            self._see(module, args, output, set())

    def _after_call(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if self._stack and self._stack[-1][0] is module and not _in_backward():
            _, inside = self._stack.pop()
            self._see(module, args, output, inside)
            if not self._stack:
                self._end_pass()

    def _see(self, module: nn.Module, args: tuple[Any, ...], output: Any, inside: set[int]) -> None:
        if self._measurement is None or not self._watching:
            return
        weights = self._measurement.weights.get(module)
        if weights is not None:
            self._measurement.see(module, args, output, inside)
            if self._stack:
                self._stack[-1][1].update(weights)

    def _end_pass(self) -> None:
        self._watching = False
        _remove(self._pass_hooks)

    # answers

    @property
    def records(self) -> tuple[FlowRecord, ...]:
        """Every measured step that is over and was not drained, oldest first."""
        self._fetch()
        return tuple(self._records)

    def drain(self) -> list[FlowRecord]:
        """`records`, handed over: a long run stores them and keeps none in memory."""
        self._fetch()
        drained, self._records = self._records, []
        return drained

    def forget(self) -> None:
        """Drop what was measured and not drained, for training that goes back to an earlier step.

        A step that was not finite is forgiven with it: it is no longer what `report` judges.
        """
        self._finish()
        self._pending.clear()
        self._records.clear()
        self._last = self._broken = None

    def report(self) -> FlowReport:
        """Judge the latest measured step, or the first one that was not finite.

        Raises:
            AllmlpError: nothing was measured.
        """
        self._fetch()
        record = self._broken or self._last
        if self._broken is None and self._measurement is not None:
            under_way = self._measurement.pack()
            if under_way is not None and (self._measurement.has_gradients or record is None):
                record = under_way.record()
        if record is None:
            raise AllmlpError(
                "a report needs a measured step, but the model was not called with gradients "
                "enabled; train it inside the context"
            )
        return FlowReport(record)

    def _fetch(self) -> None:
        if self._stepped and not self._stepping:
            self.begin(self._step + 1)
        for pending in self._pending:
            record = pending.record()
            self._records.append(record)
            self._last = record
            if record.nonfinite is not None and self._broken is None:
                self._broken = record
        self._pending.clear()

    def _finish(self) -> None:
        self._end_pass()
        self._stack.clear()
        _remove(self._step_hooks)
        if self._measurement is not None:
            finished = self._measurement.pack()
            if finished is not None:
                self._pending.append(finished)
            self._measurement.close()
            self._measurement = None


def _in_backward() -> bool:
    return torch._C._current_graph_task_id() != -1


def _remove(hooks: list[RemovableHandle]) -> None:
    for hook in hooks:
        hook.remove()
    hooks.clear()


def _weak(method: Callable[..., None], *first: object) -> Callable[..., None]:
    """A hook that keeps nothing alive, is left out of compiled code, and is copied as it is."""
    reference = weakref.WeakMethod(method)

    def hook(*args: object) -> None:
        if torch.compiler.is_compiling():
            return
        alive = reference()
        if alive is not None:
            alive(*first, *args)

    return hook
