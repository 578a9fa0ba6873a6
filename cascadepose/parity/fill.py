"""Stand-in weights for comparisons: every tensor is a function of its official name and shape.

An oracle lists an official model's state_dict as (name, shape, dtype). `fill` gives each tensor values from numpy's
frozen legacy generator, seeded by crc32 of the name: so the state_dict that the official code ran with is built again.
"""

import json
import re
import zlib
from pathlib import Path

import numpy as np
import torch

GAINS = (  # multipliers on unit-variance fan-in scaling; the first pattern that matches counts
    (r"in_proj_weight$", 2.0),
    (r"encoder\.layers.*out_proj\.weight", 0.3),
    (r"decoder\.layers.*self_attn\.out_proj\.weight", 0.3),
    (r"decoder\.layers.*multihead_attn\.out_proj\.weight", 3.0),
    (r"transformer.*linear2\.weight$", 0.3),
    (r"input_proj", 4.0),
    (r"(bbox_embed|coord_embed|coord_predictor|kpts?_embed)\.layers\.2\.weight$", 3.0),
    (r"(sampling_offsets|attention_weights)\.weight$", 0.5),
)
POSITIONS = r"(pos_embed|Spatial_pos|Temporal_pos|pos_embedding|temp_embed|row_embed|col_embed|level_embed)"


def fill(name: str, shape: list[int], dtype: str = "float32") -> np.ndarray:
    """Value of the official tensor `name`; integer tensors are zero."""
    name = re.sub(r"^(class_embed|kpt_embed)\.\d+\.", r"\1.5.", name)  # one shared head that is listed six times
    if not dtype.startswith("float"):
        return np.zeros(shape, dtype)
    rng = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
    normal = rng.standard_normal(int(np.prod(shape, dtype=np.int64))).reshape(shape)
    return _scaled(name, normal).astype(np.float32)


def _scaled(name: str, normal: np.ndarray) -> np.ndarray:
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "running_var":
        return np.exp(0.1 * normal)
    if normal.ndim <= 1:
        if leaf not in ("weight", "a_2"):
            return 0.05 * normal
        value = 1 + 0.1 * normal
        return value * 0.3 if re.search(r"(bn3|branches\..*bn2)\.weight$", name) else value
    if "query_embed" in name:
        return normal
    if re.search(POSITIONS, name):
        return normal if "query" in name else 0.5 * normal
    gain = next((gain for pattern, gain in GAINS if re.search(pattern, name)), 1.0)
    value = gain * normal / np.sqrt(int(np.prod(normal.shape[1:])))
    convolution = (normal.ndim == 4 and "backbone" in name) or re.match(r"(conv|layer|stage|transition)", name)
    return value * np.sqrt(2.0) if convolution else value


def load_case(folder: Path, name: str) -> tuple[dict, dict[str, torch.Tensor]]:
    """The description of an oracle (empty where none is kept) and its arrays as tensors."""
    with np.load(folder / f"{name}.npz") as arrays:
        tensors = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
    description = folder / f"{name}.json"
    return json.loads(description.read_text("utf-8")) if description.exists() else {}, tensors


def official_state_dict(case: dict) -> dict[str, torch.Tensor]:
    """The state_dict that the official model was filled with; buffers that it derives itself are left out."""
    listed = [entry for entry in case["state_dict"] if len(entry) == 3]
    return {name: torch.from_numpy(fill(name, shape, dtype)) for name, shape, dtype in listed}
