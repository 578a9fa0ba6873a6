"""Answers of the official code, held against this package's: models, metrics, losses, crops, joint conversions.

A *case* is NAME.npz, the official inputs (`in.*`) and outputs (`out.*`), beside NAME.json, its description; weights are
made from the official names (`fill`). `cases.read` reads one, `checks.check` compares it. COCO's own evaluation is a
case of its own, the folder `coco_eval`.
"""
