"""What every model can do by its class: come from the Hugging Face hub or a folder, and go there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self


class Pretrained:
    """Mixin with the hub's usual three names, over this package's weights files.

    huggingface_hub's own mixins want a config.json beside tensors without a header and its package at import; our file
    holds configuration and facts itself, so one format serves packaged weights, files and the hub.
    """

    card: dict[str, Any] = {}  # facts of the weights that `from_pretrained` found; `save_pretrained` passes them on

    @classmethod
    def from_pretrained(cls, name_or_repo: str | Path, device: str = "cpu", allow_download: bool = False) -> Self:
        """A trained model of this class, in eval mode.

        name_or_repo: packaged name, weights file, folder of `save_pretrained`, or "owner/repo[/file][@revision]" on the
            hub, of which only the local cache is asked unless allow_download.
        Raises InputError: nothing of that name, a model of another class, a damaged file.
        """
        from cascadepose.sharing import load_pretrained

        return load_pretrained(cls, name_or_repo, device, allow_download)

    def save_pretrained(self, folder: str | Path, info: dict[str, Any] | None = None) -> Path:
        """Write model.safetensors and README.md (the model card) into a folder and return it.

        info: facts for the card, such as data, recipe, scores and licence, on top of those it came with.
        Raises InputError where the folder cannot be written.
        """
        from cascadepose.sharing import save_pretrained

        return save_pretrained(self, folder, info)

    def push_to_hub(
        self, repo: str, info: dict[str, Any] | None = None, private: bool = False, token: str | None = None
    ) -> str:
        """Upload what `save_pretrained` writes to "owner/repo", made if it is not there; returns the commit's address.

        token: of an account that may write there; None takes that of `hf auth login`.
        Raises InputError where the hub cannot be reached or refuses.
        """
        from cascadepose.sharing import push_to_hub

        return push_to_hub(self, repo, info, private, token)
