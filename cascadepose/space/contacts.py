"""When feet stand: slow, and as low as the feet of this person get at that time."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_closing, binary_opening, binary_propagation, gaussian_filter1d, minimum_filter1d

from cascadepose.skeletons import H36M17

FEET = [H36M17.index("left_ankle"), H36M17.index("right_ankle")]
SLOW, SURE = 0.7, 0.4  # m/s: a contact has a frame that is surely slow, and lasts while its frames are slow
LOW = 0.12  # m above the lower foot's lowest place nearby in time
SMOOTH = 0.06  # s, standard deviation of the filter before velocities are taken
NEARBY = 0.6  # s to either side
SHORTEST = 0.1  # s that a contact or a gap in it lasts at least


def find_contacts(ankles: np.ndarray, up: np.ndarray, times: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Whether each foot stands still on something: [T, 2] bool.

    ankles  [T, 2, 3] metres in a frame that does not move
    up      [3] unit vector
    times   [T] ascending seconds
    seen    [T, 2] bool; what is not seen does not stand
    """
    count = len(times)
    if count < 2:
        return np.zeros((count, 2), bool)
    rate = 1 / np.median(np.diff(times))
    smooth = gaussian_filter1d(ankles, SMOOTH * rate, axis=0, mode="nearest")
    speed = np.linalg.norm(np.gradient(smooth, times, axis=0), axis=-1)
    height = smooth @ up
    lowest = minimum_filter1d(height.min(1), 2 * round(NEARBY * rate) + 1, mode="nearest")
    low = (height - lowest[:, None] < LOW) & seen
    still = binary_propagation(low & (speed < SURE), mask=low & (speed < SLOW), structure=_ALONG_TIME)
    shortest = np.ones((max(round(SHORTEST * rate), 1), 1), bool)
    padded = np.pad(still, ((len(shortest), len(shortest)), (0, 0)), mode="edge")
    whole = binary_opening(binary_closing(padded, shortest), shortest)[len(shortest) : -len(shortest)]
    return whole & seen


_ALONG_TIME = np.array([[0, 1, 0]] * 3, bool)
