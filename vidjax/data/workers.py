"""Worker processes of a pool."""

import multiprocessing
import os
import threading


def end_with_parent():
    """Lets this worker end as soon as the process that started it is dead. For the `initializer` of a pool.

    A worker that waits for its next task would wait for ever otherwise, after a kill of the process that has the tasks.
    """
    parent = multiprocessing.parent_process()

    def wait():
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
