"""Readers of BVH, TRC, C3D and GLB written from the formats' descriptions; they share no code with the package."""

import csv
import json
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from scipy.spatial.transform import Rotation


def read_csv(path: Path) -> list[dict]:
    """Rows, numbers as floats, empty cells as None."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    texts = ("joint", "joints_frame")
    return [{k: v if k in texts else float(v) if v else None for k, v in row.items()} for row in rows]


def read_bvh(path: Path) -> SimpleNamespace:
    """names, parents, offsets [N, 3], rows [T, channels], seconds (a frame), and by forward kinematics places [T, N, 3]
    and local rotations [T, N, 3, 3]. End sites are nodes named NAME_end.
    """
    hierarchy, motion = path.read_text().split("MOTION")
    names, parents, offsets, channels, stack = [], [], [], [], []
    for line in hierarchy.splitlines():
        word, *rest = line.split() or [""]
        if word in ("ROOT", "JOINT", "End"):
            names.append(f"{names[stack[-1]]}_end" if word == "End" else rest[0])
            parents.append(stack[-1] if stack else -1)
            channels.append([])
        elif word == "{":
            stack.append(len(names) - 1)
        elif word == "}":
            stack.pop()
        elif word == "OFFSET":
            offsets.append([float(value) for value in rest])
        elif word == "CHANNELS":
            assert int(rest[0]) == len(rest) - 1
            channels[stack[-1]] = rest[1:]
    frames, seconds, *lines = motion.strip().splitlines()
    assert frames.startswith("Frames: ") and seconds.startswith("Frame Time: ") and not stack
    rows = np.array([line.split() for line in lines], float)
    assert len(rows) == int(frames.split()[1]) and rows.shape[1] == sum(map(len, channels))
    found = SimpleNamespace(names=names, parents=parents, offsets=np.array(offsets), rows=rows)
    found.seconds = float(seconds.split()[2])
    found.places, found.local = _bvh_kinematics(found, channels)
    return found


def _bvh_kinematics(bvh: SimpleNamespace, channels: list[list[str]]) -> tuple[np.ndarray, np.ndarray]:
    count, column = len(bvh.rows), 0
    places, local, world = [], [], []
    for parent, offset, kinds in zip(bvh.parents, bvh.offsets, channels, strict=True):
        shift, turn = np.tile(offset, (count, 1)), np.tile(np.eye(3), (count, 1, 1))
        for kind in kinds:
            value = bvh.rows[:, column]
            column += 1
            if kind.endswith("position"):
                shift[:, "XYZ".index(kind[0])] = value
            else:
                turn = turn @ Rotation.from_euler(kind[0], value[:, None], degrees=True).as_matrix()
        local.append(turn)
        places.append(shift if parent < 0 else places[parent] + (world[parent] @ shift[..., None])[..., 0])
        world.append(turn if parent < 0 else world[parent] @ turn)
    return np.stack(places, 1), np.stack(local, 1)


def read_trc(path: Path) -> SimpleNamespace:
    """head, names, times [T], joints [T, J, 3]."""
    lines = path.read_text().splitlines()
    assert lines[0].split("\t")[:3] == ["PathFileType", "4", "(X/Y/Z)"] and lines[5] == ""
    head = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    names = [name for name in lines[3].split("\t")[2:] if name]
    assert lines[3].startswith("Frame#\tTime\t") and lines[4].split("\t")[2:5] == ["X1", "Y1", "Z1"]
    rows = np.array([line.split("\t") for line in lines[6:]], float)
    assert (rows[:, 0] == np.arange(1, len(rows) + 1)).all()
    return SimpleNamespace(head=head, names=names, times=rows[:, 1], joints=rows[:, 2:].reshape(len(rows), -1, 3))


def read_c3d(path: Path) -> SimpleNamespace:
    """parameters by "GROUP:NAME", first frame, points [T, J, 3], residuals [T, J] (mm); little-endian float files."""
    data = path.read_bytes()
    start, key, count, _, first, _, _, scale, block, _, rate = struct.unpack_from("<BBHHHHHfHHf", data)
    assert key == 0x50 and data[512 * (start - 1) + 3] == 84 and scale < 0
    found = SimpleNamespace(parameters=_c3d_parameters(data, 512 * (start - 1) + 4), first_frame=first, rate=rate)
    words = np.frombuffer(data, "<f4", offset=512 * (block - 1))
    frames = int(found.parameters["POINT:FRAMES"][0])
    words = words[: 4 * count * frames].reshape(frames, count, 4)
    marks = words[..., 3].astype(int)
    assert (np.abs(marks) < 1 << 15).all()
    found.points, found.residuals = words[..., :3], np.where(marks < 0, -1, (marks & 255) * -scale)
    return found


def _c3d_parameters(data: bytes, at: int) -> dict[str, list]:
    groups, found = {}, []
    while data[at]:
        size, number = struct.unpack_from("<bb", data, at)
        size = abs(size)
        name = data[at + 2 : at + 2 + size].decode()
        after = at + 2 + size
        if number < 0:
            groups[-number] = name
        else:
            kind, dimensions = struct.unpack_from("<bB", data, after + 2)
            shape = list(data[after + 4 : after + 4 + dimensions])
            total = int(np.prod(shape)) if shape else 1
            body = data[after + 4 + dimensions : after + 4 + dimensions + abs(kind) * total]
            if kind == -1:
                width = shape[0] if shape else 1
                values = [body[i : i + width].decode().strip() for i in range(0, len(body), max(width, 1))]
            else:
                values = np.frombuffer(body, {1: "i1", 2: "<i2", 4: "<f4"}[kind]).tolist()
            found.append((number, name, values))
        at = after + struct.unpack_from("<h", data, after)[0]
    return {f"{groups[number]}:{name}": values for number, name, values in found}


def read_glb(path: Path) -> SimpleNamespace:
    """document, arrays (every accessor), names, times by node, and by forward kinematics places [T, N, 3] where all
    nodes share the times.
    """
    data = path.read_bytes()
    magic, version, total, size, kind = struct.unpack_from("<4sIII4s", data)
    assert (magic, version, total, kind) == (b"glTF", 2, len(data), b"JSON") and size % 4 == 0
    document = json.loads(data[20 : 20 + size])
    length, kind = struct.unpack_from("<I4s", data, 20 + size)
    assert kind == b"BIN\0" and length % 4 == 0 and document["buffers"][0]["byteLength"] == length
    buffer = data[28 + size :]
    arrays = []
    for entry in document["accessors"]:
        view = document["bufferViews"][entry["bufferView"]]
        assert view["byteOffset"] % 4 == 0
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[entry["type"]]
        array = np.frombuffer(buffer, {5126: "<f4", 5121: "u1"}[entry["componentType"]], entry["count"] * width,
                              view["byteOffset"])  # fmt: skip
        assert array.nbytes == view["byteLength"]
        arrays.append(array.reshape(entry["count"], width))
        if "min" in entry:
            assert entry["min"] == arrays[-1].min(0).tolist() and entry["max"] == arrays[-1].max(0).tolist()
    found = SimpleNamespace(document=document, arrays=arrays, names=[node["name"] for node in document["nodes"]])
    found.places = _glb_kinematics(document, arrays)
    return found


def _glb_kinematics(document: dict, arrays: list[np.ndarray]) -> np.ndarray:
    (animation,) = document["animations"]
    moved = {}
    for channel in animation["channels"]:
        sampler = animation["samplers"][channel["sampler"]]
        moved[channel["target"]["node"], channel["target"]["path"]] = arrays[sampler["output"]].astype(float)
        count = len(arrays[sampler["input"]])
    nodes = document["nodes"]
    places, world = np.zeros((count, len(nodes), 3)), {}

    def visit(node: int, parent: int | None) -> None:
        shift = moved.get((node, "translation"), np.tile(nodes[node].get("translation", (0, 0, 0)), (count, 1)))
        turn = Rotation.from_quat(moved.get((node, "rotation"), np.tile((0, 0, 0, 1.0), (count, 1)))).as_matrix()
        if parent is not None:
            shift = places[:, parent] + (world[parent] @ shift[..., None])[..., 0]
            turn = world[parent] @ turn
        places[:, node], world[node] = shift, turn
        for child in nodes[node].get("children", ()):
            visit(child, node)

    for root in document["scenes"][0]["nodes"]:
        visit(root, None)
    return places
