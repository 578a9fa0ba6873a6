"""The newest frame of a camera: frames that come while the last one is still being worked on are left out."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator

from cascadepose.data.frames import Frame, FrameSource


def newest_frames(source: FrameSource) -> Iterator[Frame]:
    """Frames in order, each the newest one at the time it is asked for; the others are dropped.

    A thread reads the source and holds one frame, so that neither the delay nor the memory grows when frames come
    faster than they are used. Their numbers (Frame.index) tell how many were dropped. Ends, or raises InputError, where
    the source does, after the frame that is held.
    """
    held: deque[Frame] = deque(maxlen=1)
    changed, state = threading.Condition(), {"done": False, "wanted": True, "error": None}

    def read() -> None:
        try:
            for frame in source:
                with changed:
                    if not state["wanted"]:
                        return
                    held.append(frame)
                    changed.notify()
        except BaseException as error:  # of a source's own thread: it is raised where the frames are used
            state["error"] = error
        finally:
            with changed:
                state["done"] = True
                changed.notify()

    threading.Thread(target=read, name="camera", daemon=True).start()
    try:
        while True:
            with changed:
                changed.wait_for(lambda: held or state["done"])
                if not held:
                    break
                frame = held.popleft()
            yield frame
        if state["error"] is not None:
            raise state["error"]
    finally:
        with changed:
            state["wanted"] = False
