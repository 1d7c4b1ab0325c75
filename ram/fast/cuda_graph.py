"""The same work again and again, recorded once as a CUDA graph."""

import sys

import cupy

_WARM_UP = 2  # times that it is done as it is: kernels are compiled, pools fill


class CudaGraphRunner:
    """Does a piece of work on a stream of its own, later as a CUDA graph.

    What the work allocates and lets go of comes from a pool that nothing else
    draws from: a replay writes to the same memory as the work that was
    recorded. The stream and CUDA's default one wait for each other.

    Args:
        work (callable): Launches what is to be done, always the same on the
            same arrays, without waiting for the GPU.
        record (bool): Whether to record it; else its kernels are launched one
            by one each time.

    """

    def __init__(self, work, record):
        self._work = work
        self._record = record
        self._done = 0
        self._graph = None
        self._stream = cupy.cuda.Stream()
        self._pool = cupy.cuda.MemoryPool()

    def __call__(self):
        with cupy.cuda.using_allocator(self._pool.malloc), self._stream:
            if self._record and self._done == _WARM_UP:
                self._graph = self._capture()
                self._record = self._graph is not None
            if self._graph is None:
                self._work()
            else:
                self._graph.launch()
        self._done += 1

    def _capture(self):
        """The work as a graph, not yet done; None where that fails."""
        stream = self._stream
        stream.synchronize()  # what went wrong before is not the capture's
        try:
            stream.begin_capture()
            try:
                self._work()
            finally:
                graph = stream.end_capture()
            graph.upload()
            return graph
        except Exception as error:  # CuPy fails in ways of its own
            reason = str(error).strip().split('\n')[0]
            print('ram: no CUDA graph can be made of an iteration here '
                  f'({reason}); its kernels are launched one by one',
                  file=sys.stderr)
            return None
