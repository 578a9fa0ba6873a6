"""Run the stream over a video, again and again, and print what it costs: delay and memory.

python tools/stream_video.py VIDEO --lifter CAUSAL --frames 5000
"""

import argparse
import itertools
import os
import time
from pathlib import Path

import numpy as np

from cascadepose.data.frames import FrameSource, open_source
from cascadepose.errors import InputError


class Looped(FrameSource):
    """A video without an end: the times go on."""

    def __init__(self, path: str):
        self._path, first = path, open_source(path)
        self.name, self.size, self.fps = first.name, first.size, first.fps

    def _images(self):
        start = 0.0
        while True:
            last = start
            for frame in open_source(self._path):
                last = start + frame.timestamp
                yield last, frame.image
            start = last + 1 / self.fps


def resident() -> float:
    """MB of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(args: argparse.Namespace) -> None:
    """Stream the frames and print a line now and then, and at the end."""
    from cascadepose.loading import load

    chosen = {"weights": args.weights} if args.weights else {}
    pose = load(**chosen, lifter=None if args.lifter.lower() == "none" else args.lifter, preset=args.preset)
    delay, work, memory, people, before = [], [], [], 0, time.process_time()
    for number, frame in enumerate(itertools.islice(pose.stream(Looped(args.video)), args.frames)):
        now = time.process_time()
        delay.append(1000 * frame.latency)
        work.append(1000 * (now - before))
        memory.append(resident())
        before, people = now, people + len(frame.people)
        if (number + 1) % max(args.frames // 20, 1) == 0:
            print(f"{number + 1:>7} frames, {memory[-1]:7.1f} MB, {np.median(delay):7.1f} ms a frame", flush=True)
    warm = np.array(memory[min(args.warm_up, len(memory) - 1) :])
    percentiles = "p50 {:.1f} ms, p95 {:.1f} ms"
    print(f"{len(delay)} frames of {args.video}, {people / len(delay):.2f} people a frame, lifter {args.lifter}")
    print("latency  " + percentiles.format(*np.percentile(delay, [50, 95])))
    print("CPU time " + percentiles.format(*np.percentile(work, [50, 95])) + " a frame, decoding included")
    print(f"memory   {warm.min():.1f} to {warm.max():.1f} MB after the first {args.warm_up} frames")


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video")
    parser.add_argument("--weights", help="2D stage (default: the packaged one)")
    parser.add_argument("--lifter", default="none", help="3D stage: name or path of a causal lifter (default: none)")
    parser.add_argument("--preset", default="accurate", help="accurate or fast (default: accurate)")
    parser.add_argument("--frames", type=int, default=5000, help="how many (default: 5000)")
    parser.add_argument("--warm-up", type=int, default=1000, help="frames before memory is looked at (default: 1000)")
    try:
        measure(parser.parse_args())
    except InputError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
