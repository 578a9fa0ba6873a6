"""Count identity switches on a video against a list of who is where, made by hand.

python tools/eval_tracking.py one_by_one.mp4 tests/evaluation/one_by_one.json
"""

import argparse

from cascadepose.errors import InputError


def evaluate(args: argparse.Namespace) -> None:
    """Find people in the video and print the counts."""
    from cascadepose.evaluation.tracking import identity_scores, read_sightings, sightings_of
    from cascadepose.loading import load

    truth = read_sightings(args.truth)
    result = load(**({"weights": args.weights} if args.weights else {}), lifter=None)(args.video)
    for track in result:
        seen = int(track.observed.sum())
        print(f"id {track.track_id}: frames {track.frame_index[0]}-{track.frame_index[-1]}, seen in {seen}")
    scores = identity_scores(truth, sightings_of(result.tracks), args.reach)
    print(", ".join(f"{name} {round(value, 4)}" for name, value in scores.items()))


def main() -> None:
    """Parse the command line and evaluate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video")
    parser.add_argument("truth", help='{"people": {id: [[frame, x, y], ...]}}, x and y in the middle of the person')
    parser.add_argument("--weights", help="2D stage: name or path (default: the packaged one)")
    parser.add_argument("--reach", type=float, default=150, help="px within which it is the same person (default: 150)")
    try:
        evaluate(parser.parse_args())
    except InputError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
