"""Worker processes of a pool."""

import multiprocessing
import os
import threading


def end_with_parent():
    """Ends this worker when the process that started it ends. For the `initializer` of a pool.

    Otherwise, if that process is killed, a worker that waits for its next task waits forever.
    """
    parent = multiprocessing.parent_process()

    def wait():
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
