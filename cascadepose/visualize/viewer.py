"""A result in the browser through viser: the 3D skeletons, the video frame with its overlay, a time slider.

The page is served to this machine only (localhost) and needs no network.
"""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from cascadepose.errors import InputError
from cascadepose.types import VideoResult
from cascadepose.visualize.overlay import OverlayPainter
from cascadepose.visualize.scene import Scene, build_scene
from cascadepose.visualize.small_pictures import SmallPictures
from cascadepose.visualize.viewer_figure import DrawnFigure

HOST, PORT = "127.0.0.1", 8080  # the name localhost would be two addresses, each with a free port of its own
_SPEEDS = {"0.1": 0.1, "0.25": 0.25, "0.5": 0.5, "1": 1.0, "2": 2.0}
_FIELD = np.deg2rad(32)  # vertical angle of view
_GRID = {False: ((226, 229, 234), (200, 205, 213)), True: ((42, 45, 51), (62, 66, 74))}  # RGB, by darkness


class Viewer:
    """The page of one result, up from when it is made until `close`.

    pictures: frames to show beside the skeletons (see `small_pictures`; with `painter(result)` they carry the overlay),
    or None; port: where to serve, 0 for any free one. `address` is what to open in a browser.

    Raises InputError where viser is missing, nobody has 3D joints, or the port is taken.
    """

    def __init__(self, result: VideoResult, pictures: SmallPictures | None = None, port: int = PORT) -> None:
        viser = require()
        self._result, self._pictures = result, pictures
        scene = build_scene(result)
        check_port(port)
        with _quiet():
            self.server = viser.ViserServer(host=HOST, port=port, label=Path(result.source).name, verbose=False)
        self.address = f"http://localhost:{self.server.get_port()}"
        if port and self.server.get_port() != port:  # viser would rather take the next one than say so
            self.close()
            raise _taken(port)
        self._lock = threading.RLock()
        self._began: tuple[float, float] | None = None  # (clock, time of the result) when playing began
        self._shown = 0  # which picture
        self._set_up(scene)
        self._figures = [DrawnFigure(self.server, figure) for figure in scene.figures]
        self._build_controls(scene)
        self.show(min(int(track.frame_index[0]) for track in (figure.track for figure in scene.figures)))

    def show(self, frame_index: int) -> None:
        """Show a frame, to everybody who has the page open."""
        with self._lock, self.server.atomic():
            for figure in self._figures:
                figure.show(frame_index, self._switches[figure.figure.track.track_id].value)
            if self._time is not None and self._time.value != frame_index:
                self._time.value = frame_index
            self._clock.content = f"{self._seconds(frame_index):.2f} s"
            self._show_picture(frame_index)

    def play(self, on: bool = True) -> None:
        """Start or stop to move on with time; see `advance`."""
        with self._lock:
            frame = self._time.value if self._time is not None else 0
            start = 0.0 if frame == self._result.num_frames - 1 else self._seconds(frame)
            self._began = (time.monotonic(), start) if on and self._time is not None else None
            if self._button is not None:
                self._button.label, self._button.icon = ("Pause", "player-pause") if self._began else _PLAY

    def advance(self) -> None:
        """While playing, show the frame of this moment; after the last one, from the start again."""
        with self._lock:
            if self._began is None:
                return
            passed = self._began[1] + (time.monotonic() - self._began[0]) * _SPEEDS[self._speed.value]
            times = self._result.timestamps - self._result.timestamps[0]
            if passed > times[-1] + (times[-1] - times[-2]):
                self._began, passed = (time.monotonic(), 0.0), 0.0
            frame = int(np.searchsorted(times, passed, side="right")) - 1
            if frame != self._time.value:
                self.show(frame)

    def run(self) -> None:
        """Serve and play until Ctrl-C."""
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                self.advance()
                time.sleep(0.01)

    def close(self) -> None:
        """Take the page down."""
        with _quiet():
            self.server.stop()

    def _seconds(self, frame_index: int) -> float:
        return float(self._result.timestamps[frame_index] - self._result.timestamps[0])

    def _set_up(self, scene: Scene) -> None:
        """Ground, light, and a camera that has everybody in view."""
        server = self.server
        server.gui.main_panel.dock_right()
        server.scene.set_up_direction("+y")
        server.scene.world_axes.visible = False
        server.scene.configure_environment_map(None)
        server.scene.add_light_ambient("light", intensity=0.9)
        self._ground = server.scene.add_grid(
            "ground", plane="xz", infinite_grid=True, cell_size=0.5, section_size=1.0,
            fade_distance=4 * scene.radius + 14, shadow_opacity=0.25,
        )  # fmt: skip
        self._theme(False)
        tall = max(scene.height, 1.6) + 0.5
        away = max(tall / 2, (max(scene.radius, 0.8) + 0.3) / 1.2) / np.tan(_FIELD / 2) + min(scene.radius, 2) * 0.6
        direction = np.array((np.sin(0.42), 0.2, np.cos(0.42)))
        target = np.array((0, tall / 2 - 0.25, 0))
        camera = server.initial_camera
        camera.fov, camera.look_at, camera.position = _FIELD, target, target + away * direction

    def _theme(self, dark: bool) -> None:
        """Without the button that would send the scene to a server of others."""
        self.server.gui.configure_theme(
            show_logo=False, show_share_button=False, control_width="large", dark_mode=dark, brand_color=(47, 111, 222)
        )
        self._ground.cell_color, self._ground.section_color = _GRID[dark]

    def _build_controls(self, scene: Scene) -> None:
        gui, last = self.server.gui, self._result.num_frames - 1
        self._picture = gui.add_image(self._decode(0), format="jpeg") if self._pictures else None
        self._time = self._button = None
        if last > 0:
            self._time = gui.add_slider("Frame", min=0, max=last, step=1, initial_value=0)
            self._time.on_update(lambda event: self._dragged(event))
        self._clock = gui.add_markdown("")
        if last > 0:
            self._button = gui.add_button(_PLAY[0], icon=_PLAY[1])
            self._button.on_click(lambda _: self.play(self._began is None))
            self._speed = gui.add_dropdown("Speed", tuple(_SPEEDS), initial_value="1")
            self._speed.on_update(lambda _: self.play(self._began is not None))
        self._switches = {}
        with gui.add_folder("People"):
            for figure in scene.figures:
                number, seen = figure.track.track_id, int(figure.track.observed.sum())
                switch = gui.add_checkbox(f"id {number}", True, hint=f"seen in {seen} frames")
                switch.on_update(lambda _: self.show(self._time.value if self._time is not None else 0))
                self._switches[number] = switch
        dark = gui.add_checkbox("Dark", False)
        dark.on_update(lambda _: self._theme(dark.value))

    def _dragged(self, event: Any) -> None:
        if event.client is not None:  # somebody moved it; else `show` did
            self.play(False)
            self.show(self._time.value)

    def _show_picture(self, frame_index: int) -> None:
        if self._pictures is None:
            return
        slot = int(np.searchsorted(self._pictures.frames, frame_index, side="right")) - 1
        if slot != self._shown:
            self._picture.image = self._decode(slot)
            self._shown = slot

    def _decode(self, slot: int) -> np.ndarray:
        from PIL import Image

        return np.asarray(Image.open(io.BytesIO(self._pictures.files[slot])))


_PLAY = ("Play", "player-play")


def painter(result: VideoResult) -> Any:
    """What draws the overlay into a frame: (frame number, image uint8 [H,W,3] RGB) -> the same size."""
    return OverlayPainter(result, panel=False).paint


def require() -> Any:
    """The package viser. Raises InputError where it is missing."""
    try:
        import viser
    except ImportError as error:
        raise InputError(
            f"the viewer needs viser ({error}); pip install 'cascadepose[view]', or write a page with --html FILE"
        ) from None
    return viser


def check_port(port: int) -> None:
    """Raises InputError where something else on this machine already serves there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            raise _taken(port) from None


def _taken(port: int) -> InputError:
    return InputError(
        f"port {port} of this machine is taken or not allowed; choose another with --port, or 0 for any free one"
    )


@contextlib.contextmanager
def _quiet() -> Any:
    """viser prints tables whether it is asked to or not."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
