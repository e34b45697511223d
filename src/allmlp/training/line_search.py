"""Full-batch LBFGS that survives a step into nothing."""

import torch
from torch import Tensor, nn

from allmlp.training.loop import Loop, NotFiniteError, StepReport

__all__ = ["GuardedSteps"]

# halvings of the step length in a row, down to 1/16: beyond, the loss itself is to blame
_TRIES = 4


class GuardedSteps:
    """Takes steps of LBFGS one by one, and takes back those after which nothing is finite.

    Weights, buffers and average return to where they were, the curvature history, which the bad
    point has spoilt, is forgotten, and the learning rate is halved.

    Args:
        loop: with an optimizer that searches along lines.

    Attributes:
        rollbacks: steps taken back.
        stopped: why there is no point in going on, or None.
    """

    def __init__(self, loop: Loop):
        self.loop = loop
        self.rollbacks = 0
        self.stopped: str | None = None
        self._failures = 0  # in a row

    def take(self, batch: tuple[Tensor, ...]) -> StepReport | None:
        """One step on the whole of the data.

        Returns:
            Its report, with the loss at its start; None if there is no loss.
        """
        before = [t.clone() for t in self._tensors()]
        report, reason = None, None
        try:
            for given in self.loop.train_epoch([batch]):
                report = given or report
            self.loop.check_finite()
            reason = self._wrong_after(batch)
        except NotFiniteError as e:
            reason = str(e)
        if reason is None:
            self._failures = 0
            if all(map(torch.equal, before, self.loop.model.parameters())):
                self.stopped = "converged: the step no longer moves the weights"
            return report
        with torch.no_grad():
            for tensor, value in zip(self._tensors(), before, strict=True):
                tensor.copy_(value)
        self.loop.optimizer.state.clear()
        self.rollbacks += 1
        self._failures += 1
        if self._failures > _TRIES:
            self.stopped = f"{reason}; undone, and {_TRIES} smaller steps did not help"
        else:
            self.loop.scale_lr(0.5)
        return report

    def _wrong_after(self, batch: tuple[Tensor, ...]) -> str | None:
        with torch.no_grad():
            loss = self.loop.task.loss(self.loop.model, batch)[0].item()
        if abs(loss) < torch.inf:
            return None
        return f"the loss is {loss} after step {self.loop.step}"

    def _tensors(self) -> list[Tensor]:
        modules: list[nn.Module] = [self.loop.model]
        if self.loop.average is not None:
            modules.append(self.loop.average)
        return [t.detach() for m in modules for t in (*m.parameters(), *m.buffers())]
