"""PoseFormer: spatial, then temporal transformer for the middle frame of a window (Zheng et al., ICCV 2021)."""

from collections.abc import Iterable

import torch
from einops import rearrange
from torch import Tensor, nn

from cascadepose.models.lifters.blocks import Block, drop_rates
from cascadepose.models.pretrained import Pretrained

EPS = 1e-6  # of every norm but the head's, whose 1e-5 is torch's default; the published weights were trained so


class PoseFormer(Pretrained, nn.Module):
    """Lifts a window of 2D joints to the 3D joints of its middle frame.

    forward: x [B, num_frames, J, in_channels] (x, y normalised as `normalization` says, confidence if in_channels is 3)
             -> [B, 1, J, 3] root-relative joints in metres, camera axes (x right, y down, z away).
    Raises ValueError for a window of another length: the temporal embedding and the weights of the frames' mean have
    one entry a frame.

    The joints of a frame are tokens of the spatial transformer (section 3.2); the frames, each the concatenation of its
    joints' tokens, are tokens of the temporal one, and a learned weighted mean over the frames is regressed to the
    pose. Parameter names equal the official ones.

    embed_dim_ratio  channels of a joint's token; a frame's token has `num_joints` times as many
    depth, num_heads, mlp_ratio  of both transformers
    drop_path        stochastic depth of the last block in training
    spatial          False: the paper's baseline (section 3.1), a temporal transformer whose tokens are linear in the
                     frame's 2D joints and whose frames are averaged without weights
    spatial_embed, temporal_embed  False: no position embedding of the joints, of the frames (the paper's ablation)
    causal           the answer is for the window's last frame
    style            how the joints that it sees are made of COCO-17's, see `Skeleton.convert`
    frame_rate, mean_pose  see DSTformer
    """

    frames_out = "center"
    input_skeleton = "coco17"
    skeleton = "h36m17"

    def __init__(
        self,
        num_frames: int = 27,
        num_joints: int = 17,
        in_channels: int = 2,
        embed_dim_ratio: int = 32,
        depth: int = 4,
        num_heads: int = 8,
        mlp_ratio: float = 2.0,
        drop_path: float = 0.1,
        spatial: bool = True,
        spatial_embed: bool = True,
        temporal_embed: bool = True,
        causal: bool = False,
        normalization: str = "screen",
        style: str = "midpoints",
        frame_rate: float | None = None,
        mean_pose: list[list[float]] | None = None,
    ):
        super().__init__()
        if num_frames < 1:
            raise ValueError(f"num_frames {num_frames} is not positive")
        self.config = {
            "num_frames": num_frames,
            "num_joints": num_joints,
            "in_channels": in_channels,
            "embed_dim_ratio": embed_dim_ratio,
            "depth": depth,
            "num_heads": num_heads,
            "mlp_ratio": mlp_ratio,
            "drop_path": drop_path,
            "spatial": spatial,
            "spatial_embed": spatial_embed,
            "temporal_embed": temporal_embed,
            "causal": causal,
            "normalization": normalization,
            "style": style,
            "frame_rate": frame_rate,
            "mean_pose": mean_pose,
        }
        self.num_frames, self.in_channels, self.causal = num_frames, in_channels, causal
        self.normalization, self.style = normalization, style
        self.frame_rate, self.mean_pose = frame_rate, mean_pose
        dim = embed_dim_ratio * num_joints
        rates = drop_rates(depth, drop_path)
        self.spatial = spatial
        if spatial:
            self.Spatial_patch_to_embedding = nn.Linear(in_channels, embed_dim_ratio)
            self.Spatial_pos_embed = position_embedding(num_joints, embed_dim_ratio) if spatial_embed else None
            self.Spatial_blocks = nn.ModuleList(
                Block(embed_dim_ratio, num_heads, mlp_ratio, rate, EPS) for rate in rates
            )
            self.Spatial_norm = nn.LayerNorm(embed_dim_ratio, eps=EPS)
        else:
            self.Temporal_patch_to_embedding = nn.Linear(num_joints * in_channels, dim)
        self.Temporal_pos_embed = position_embedding(num_frames, dim) if temporal_embed else None
        self.blocks = nn.ModuleList(Block(dim, num_heads, mlp_ratio, rate, EPS) for rate in rates)
        self.Temporal_norm = nn.LayerNorm(dim, eps=EPS)
        self.weighted_mean = nn.Conv1d(num_frames, 1, 1) if spatial else None
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, num_joints * 3))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] != self.num_frames:
            raise ValueError(f"a window of {x.shape[1]} frames does not fit: this model takes {self.num_frames}")
        tokens = self.encode_frames(x)
        if self.Temporal_pos_embed is not None:
            tokens = tokens + self.Temporal_pos_embed
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.Temporal_norm(tokens)
        pooled = tokens.mean(1, keepdim=True) if self.weighted_mean is None else self.weighted_mean(tokens)
        return rearrange(self.head(pooled), "b t (j c) -> b t j c", c=3)

    def encode_frames(self, x: Tensor) -> Tensor:
        """One token a frame: [B, T, J, in_channels] -> [B, T, J * embed_dim_ratio]."""
        if not self.spatial:
            return self.Temporal_patch_to_embedding(x.flatten(2))
        joints = self.Spatial_patch_to_embedding(x)
        if self.Spatial_pos_embed is not None:
            joints = joints + self.Spatial_pos_embed
        return attend_within_frames(joints, self.Spatial_blocks, self.Spatial_norm)


def position_embedding(count: int, dim: int) -> nn.Parameter:
    """A learned embedding [1, count, dim] that starts from zero."""
    return nn.Parameter(torch.zeros(1, count, dim))


def attend_within_frames(joints: Tensor, blocks: Iterable[nn.Module], norm: nn.Module) -> Tensor:
    """Tokens of joints [B, T, J, C], each frame by itself, to tokens of frames [B, T, J * C]."""
    tokens = rearrange(joints, "b t j c -> (b t) j c")
    for block in blocks:
        tokens = block(tokens)
    return rearrange(norm(tokens), "(b t) j c -> b t (j c)", b=joints.shape[0])
