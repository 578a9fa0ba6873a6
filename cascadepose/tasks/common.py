"""What the tasks share: starting weights, parameter groups, saving."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from cascadepose.errors import InputError
from cascadepose.models.backbone import Backbone

OFFSETS = {"sampling_offsets", "reference_points"}  # where deformable attention looks


def load_backbone(backbone: Backbone, weights: str | None, freeze_stages: int) -> None:
    """Start a backbone from a file of the network pre-trained on pictures, and freeze its leading stages.

    weights: a safetensors or PyTorch file of a timm network. Tensors of layers that `features_only` cuts off (the
    classifier and what leads to it) are passed over; any other misfit, or an unreadable file, raises InputError. A
    folded backbone takes those of the network with its normalisation folded.
    """
    if weights is not None and backbone.config["folded"]:
        plain = Backbone(**(backbone.config | {"folded": False}))
        load_backbone(plain, weights, freeze_stages=0)
        plain.fold()
        backbone.load_state_dict(plain.state_dict())
    elif weights is not None:
        from cascadepose.checkpoints import read_checkpoint

        own = backbone.body.state_dict()
        tensors = read_checkpoint(weights).tensors
        fitting = {name: tensor for name, tensor in tensors.items() if name in own}
        wrong = [name for name, tensor in fitting.items() if tensor.shape != own[name].shape]
        missing = [name for name in own if name not in tensors and not name.endswith("num_batches_tracked")]
        if wrong or missing:
            raise InputError(
                f"{weights}: does not fit the backbone ({len(wrong)} shapes differ, {len(missing)} tensors missing)"
            )
        backbone.body.load_state_dict(fitting, strict=False)
    backbone.freeze(freeze_stages)


def source_of(weights: str | None, kind: str) -> nn.Module | None:
    """What to start from, if anything: the model of a weights file, or the stage of that kind of the PRTR in it.

    Raises InputError for a file that cannot be read, or holds nothing of that kind.
    """
    from cascadepose.packaging import load_part

    return None if weights is None else load_part(weights, kind)


def take_over(model: nn.Module, tensors: dict[str, Tensor], weights: str, new_parts: Sequence[str] = ()) -> None:
    """Fill a model with tensors of the file `weights`; `new_parts` keep their own. Raises InputError for a misfit."""
    from cascadepose.tensors import check_fit

    own = model.state_dict()
    tensors = {name: tensor for name, tensor in tensors.items() if not _within(name, new_parts)}
    tensors |= {name: tensor for name, tensor in own.items() if _within(name, new_parts)}
    check_fit(Path(weights), tensors, own)
    model.load_state_dict(tensors)


def train_only(model: nn.Module, parts: Sequence[str]) -> None:
    """Freeze everything that is not within one of the modules `parts`."""
    for name, parameter in model.named_parameters():
        if not _within(name, parts):
            parameter.requires_grad_(False)


def _within(name: str, parts: Sequence[str]) -> bool:
    """Whether a tensor belongs to one of these modules."""
    return name.startswith(tuple(f"{part}." for part in parts))


def grouped_parameters(
    model: nn.Module, lr: float, weight_decay: float, backbone_lr: float, offsets_lr: float = 1.0
) -> list[dict]:
    """AdamW groups: backbone, offsets of deformable attention or the rest; decayed (matrices, kernels) or not (biases,
    norms and embeddings). backbone_lr, offsets_lr: factors on the rate.
    """
    embeddings = {id(p) for module in model.modules() if isinstance(module, nn.Embedding) for p in module.parameters()}
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parts = name.split(".")
            factor = backbone_lr if "backbone" in parts else 1.0 if OFFSETS.isdisjoint(parts) else offsets_lr
            decayed = parameter.dim() > 1 and id(parameter) not in embeddings
            groups.setdefault((factor, decayed), []).append(parameter)
    return [
        {"params": parameters, "lr": lr * factor, "weight_decay": weight_decay if decayed else 0.0}
        for (factor, decayed), parameters in groups.items()
    ]


def save(model: nn.Module, path: Path, kind: str, info: dict) -> None:
    """Weights as a file that `cascadepose.load_model` reads."""
    from cascadepose.hub import save_model

    save_model(model, path, kind, info)
