"""DSTformer: dual-stream spatio-temporal transformer (MotionBERT, Zhu et al., ICCV 2023, section 3.2)."""

from collections import OrderedDict
from itertools import repeat

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cascadepose.models.lifters.blocks import DualStreamBlock, Past, fuse, init_transformer
from cascadepose.models.pretrained import Pretrained

EPS = 1e-6  # the value that the published weights were trained with


class DSTformer(Pretrained, nn.Module):
    """Lifts a window of 2D joints with confidences to 3D, every frame at once.

    forward: x [B, T, J, in_channels] (x, y normalised as `normalization` says, confidence), T <= maxlen
             -> [B, T, J, 3] root-relative joints in metres, camera axes (x right, y down, z away).
             positions [B, M], only if causal: the last M frames of x are tips. Each stands at this place (from 0) of a
             window of its own that has the frames of x before that place in common with the others; a tip is seen by
             no other frame. The answers for all T frames come back.

    Parameter names equal the official ones. The attributes after `config` tell a caller how to feed it.

    num_frames   frames a window at inference (at most maxlen)
    causal       frame t of the answer depends on frames <= t only: temporal attention is masked. Of a window the last
                 third is answered; the others are its `context`
    unit         of the answer: "metres", or "image" for weights that were pre-trained or published, whose x and y are
                 normalised image coordinates with the depth on the same scale; `lift_sequence` makes metres of it
    frame_rate   Hz of the training clips, None if any rate will do
    mean_pose    [J, 3] metres: mean root-relative camera-frame pose of the training set, the baseline that any lifter
                 has to beat; part of `config`, not used by forward

    Set `gradient_checkpointing` to train with less memory: a block's activations are then computed again on the way
    back.
    """

    frames_out = "all"
    gradient_checkpointing = False
    input_skeleton = "coco17"
    skeleton = "h36m17"

    def __init__(
        self,
        dim: int = 64,
        depth: int = 3,
        num_heads: int = 4,
        mlp_ratio: float = 2.0,
        dim_rep: int = 64,
        maxlen: int = 27,
        num_frames: int | None = None,
        num_joints: int = 17,
        in_channels: int = 3,
        att_fuse: bool = True,
        normalization: str = "crop_scale",
        unit: str = "metres",
        frame_rate: float | None = None,
        mean_pose: list[list[float]] | None = None,
        causal: bool = False,
    ):
        super().__init__()
        self.num_frames = maxlen if num_frames is None else num_frames
        if not 1 <= self.num_frames <= maxlen:
            raise ValueError(f"num_frames {self.num_frames} is not within 1..maxlen={maxlen}")
        if unit not in ("metres", "image"):
            raise ValueError(f'unit {unit!r}: use "metres" or "image"')
        self.config = {
            "dim": dim,
            "depth": depth,
            "num_heads": num_heads,
            "mlp_ratio": mlp_ratio,
            "dim_rep": dim_rep,
            "maxlen": maxlen,
            "num_frames": self.num_frames,
            "num_joints": num_joints,
            "in_channels": in_channels,
            "att_fuse": att_fuse,
            "normalization": normalization,
            "unit": unit,
            "frame_rate": frame_rate,
            "mean_pose": mean_pose,
            "causal": causal,
        }
        self.in_channels, self.maxlen, self.unit, self.causal = in_channels, maxlen, unit, causal
        self.normalization, self.frame_rate, self.mean_pose = normalization, frame_rate, mean_pose
        self.joints_embed = nn.Linear(in_channels, dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, num_joints, dim))
        self.temp_embed = nn.Parameter(torch.zeros(1, maxlen, 1, dim))
        sizes = (dim, num_heads, mlp_ratio)
        self.blocks_st = nn.ModuleList(DualStreamBlock(*sizes, True, EPS, causal) for _ in range(depth))
        self.blocks_ts = nn.ModuleList(DualStreamBlock(*sizes, False, EPS, causal) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=EPS)
        self.pre_logits = nn.Sequential(OrderedDict(fc=nn.Linear(dim, dim_rep), act=nn.Tanh()))
        self.head = nn.Linear(dim_rep, 3)
        self.apply(init_transformer)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.trunc_normal_(self.temp_embed, std=0.02)
        self.ts_attn = nn.ModuleList(nn.Linear(dim * 2, 2) for _ in range(depth)) if att_fuse else None
        for gate in self.ts_attn or ():
            nn.init.zeros_(gate.weight)
            nn.init.constant_(gate.bias, 0.5)

    @property
    def context(self) -> int:
        """Frames at the start of a window that are seen for the sake of the later ones and not answered for: none,
        or two thirds of it if causal. They alone set the size of the box: what follows is not known yet.
        """
        return self.num_frames - max(self.num_frames // 3, 1) if self.causal else 0

    def forward(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        return self.head(self.get_representation(x, positions))

    def get_representation(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        """The motion representation [B, T, J, dim_rep] of x [B, T, J, in_channels]; values in -1..1."""
        frames, mask = x.shape[1] - (0 if positions is None else positions.shape[1]), None
        if frames > self.maxlen:
            raise ValueError(f"a window of {frames} frames is longer than maxlen={self.maxlen}")
        times = self.temp_embed[:, :frames]
        if positions is not None:
            if not self.causal:
                raise ValueError("only a causal model takes positions of tips")
            times = torch.cat([times.expand(len(x), -1, -1, -1), self.temp_embed[0, positions]], dim=1)
            mask = _tips_see(frames, positions)
        return self._represent(self.joints_embed(x) + self.pos_embed + times, mask)

    def extend(self, x: Tensor, positions: Tensor, past: list[Past]) -> Tensor:
        """What `forward` says of a tip, without looking again at frames of its window that are in `past`.

        x [B, n + 1, J, in_channels] is the n newest frames of the window and the tip, positions [B] the tip's place;
        the frames have the places before it. past: of each temporal attention, in the order of `blocks_st` and
        `blocks_ts` by turns, with S slots [B * J, heads, S, .] of which the first positions - n count. -> [B, J, 3].
        """
        if not self.causal:
            raise ValueError("only a causal model takes frames one by one")
        newest = x.shape[1] - 1
        places = positions[:, None] + torch.arange(-newest, 1, device=x.device)
        slots = torch.arange(past[0].keys.shape[2], device=x.device)
        known = (slots < places[:, :1])[:, None].expand(-1, newest + 1, -1)
        given = torch.ones(newest + 1, newest + 1, dtype=torch.bool, device=x.device).tril().expand(len(x), -1, -1)
        x = self.joints_embed(x) + self.pos_embed + self.temp_embed[0, places]
        return self.head(self._represent(x, torch.cat([known, given], -1), past)[:, -1])

    def past_shape(self, slots: int) -> tuple[int, ...]:
        """Of keys and values of `slots` frames of one person: [A, 2, J, heads, slots, C / heads], A attentions."""
        heads, dim = self.config["num_heads"], self.config["dim"]
        return 2 * len(self.blocks_st), 2, self.config["num_joints"], heads, slots, dim // heads

    def _represent(self, x: Tensor, mask: Tensor | None, past: list[Past] | None = None) -> Tensor:
        memory = repeat(None) if past is None else iter(past)
        for i, (block_st, block_ts) in enumerate(zip(self.blocks_st, self.blocks_ts, strict=True)):
            x_st = self._through(block_st, x, mask, next(memory))
            x_ts = self._through(block_ts, x, mask, next(memory))
            x = (x_st + x_ts) * 0.5 if self.ts_attn is None else fuse(self.ts_attn[i], x_st, x_ts)
        return self.pre_logits(self.norm(x))

    def _through(self, block: nn.Module, x: Tensor, mask: Tensor | None, past: Past | None) -> Tensor:
        if self.gradient_checkpointing and self.training:
            return checkpoint(block, x, mask, past, use_reentrant=False)
        return block(x, mask, past)


def _tips_see(frames: int, positions: Tensor) -> Tensor:
    """Mask [B, T, T]: a token sees itself and those of the first `frames` that stand before it."""
    trunk = torch.arange(frames, device=positions.device).expand(len(positions), -1)
    places = torch.cat([trunk, positions], dim=1)
    earlier = places[:, None] < places[:, :, None]
    total = torch.arange(places.shape[1], device=positions.device)
    return earlier & (total < frames) | (total == total[:, None])
