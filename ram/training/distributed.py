"""Processes that train one network together: data parallel, by ChainerMN."""

import importlib.util
from typing import Any, List

from ram.errors import RamError

COMMUNICATORS = ('naive', 'flat', 'non_cuda_aware', 'pure_nccl')


class SingleProcess:
    """A process that trains alone."""

    rank, size = 0, 1

    def from_first(self, value: Any) -> Any:
        """The value of rank 0."""
        return value

    def all_of(self, value: Any) -> List[Any]:
        """The values of all ranks, in their order."""
        return [value]

    def mean_gradients(self, optimizer: Any) -> None:
        """An optimizer hook: replaces gradients by their mean over ranks."""

    def abort(self, status: int) -> None:
        """Ends all ranks, some of which may wait for this one."""


SINGLE_PROCESS = SingleProcess()


class Ranks(SingleProcess):
    """Processes that MPI started.

    Args:
        name: ChainerMN's name of a communicator: ``naive`` or ``flat`` on
            CPUs, ``pure_nccl`` on GPUs.

    Raises:
        RamError: Where mpi4py is missing.

    """

    def __init__(self, name: str):
        if importlib.util.find_spec('mpi4py') is None:
            raise RamError(f'--communicator {name}: needs mpi4py and an MPI; '
                           'install an MPI, then: python -m pip install '
                           'mpi4py')
        import chainermn
        try:
            self._communicator = chainermn.create_communicator(name)
        except (ImportError, RuntimeError, ValueError) as error:
            raise RamError(f'--communicator {name}: {error}; on CPUs use '
                           'naive') from error
        # An error in one rank ends all, instead of leaving them waiting.
        chainermn.global_except_hook.add_hook()
        self.rank = self._communicator.rank
        self.size = self._communicator.size

    def from_first(self, value):
        return self._communicator.mpi_comm.bcast(value)

    def all_of(self, value):
        return self._communicator.mpi_comm.allgather(value)

    def mean_gradients(self, optimizer):
        # The mean of means over equal parts is the mean over the batch.
        self._communicator.multi_node_mean_grad(optimizer.target)

    def abort(self, status):
        self._communicator.mpi_comm.Abort(status)
