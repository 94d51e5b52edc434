"""Pictures in two versions: beside NAME.png there may be NAME_dark.png, which is shown where pages are dark."""

from __future__ import annotations

import pathlib

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


def dark(path: pathlib.PurePath) -> pathlib.PurePath:
    """The name of the dark version of a picture."""
    return path.with_stem(f"{path.stem}_dark")


class DarkPictures(SphinxTransform):
    """Puts the dark version of a picture beside it, where there is one."""

    default_priority = 200  # before Sphinx collects pictures

    def apply(self, **kwargs) -> None:
        for image in list(self.document.findall(nodes.image)):
            uri = image["uri"]
            if "://" in uri:
                continue
            _, file = self.env.relfn2path(uri)
            if dark(pathlib.Path(file)).exists():
                # A link holds one picture.
                shown = image.parent if isinstance(image.parent, nodes.reference) else image
                copy = shown.deepcopy()
                (other,) = copy.findall(nodes.image)
                other["uri"] = str(dark(pathlib.PurePosixPath(uri)))
                image["classes"] = [*image["classes"], "only-light"]
                other["classes"] = [*other["classes"], "only-dark"]
                shown.parent.insert(shown.parent.index(shown) + 1, copy)


def setup(app: Sphinx) -> dict:
    app.add_transform(DarkPictures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
