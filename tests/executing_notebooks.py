"""Executing the notebooks: at full size and in place by `make notebooks`, reduced by the tests.

A notebook begins with a cell tagged "parameters" (papermill's convention) that says `REDUCED = False`. What it writes
down does not depend on when or where it is executed, but for the numbers themselves.
"""

import sys
from base64 import b64decode, b64encode
from io import BytesIO
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

__all__ = ["FOLDER", "NOTEBOOKS", "PARAMETERS", "executed", "reduced", "stripped"]

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
PARAMETERS = "parameters"
PNG = "image/png"

# What a code host needs to know of the kernel; versions would change from machine to machine.
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def executed(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """The notebook, executed in place from top to bottom in the folder.

    Raises:
        CellExecutionError: a cell fails.
    """
    place = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=None, record_timing=False, coalesce_streams=True, resources=place)
    for cell in client.execute().cells:
        for output in cell.get("outputs", []):
            if PNG in output.get("data", {}):
                output.data[PNG] = _smaller(output.data[PNG])
    return stripped(notebook)


def _smaller(png: str) -> str:
    """The figure with a palette, in a third of the bytes; this way of choosing one keeps the colours of thin lines."""
    small = BytesIO()
    figure = Image.open(BytesIO(b64decode(png))).convert("RGB")
    figure.quantize(256, Image.Quantize.MAXCOVERAGE).save(small, "PNG", optimize=True)
    return b64encode(small.getvalue()).decode()


def stripped(notebook: NotebookNode) -> NotebookNode:
    """The notebook without what differs from one execution to the next; changed in place."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({"tags": cell.metadata.tags} if "tags" in cell.metadata else {})
    return notebook


def reduced(notebook: NotebookNode) -> NotebookNode:
    """The notebook with REDUCED = True; changed in place."""
    (cell,) = [cell for cell in notebook.cells if PARAMETERS in cell.metadata.get("tags", [])]
    cell.source = cell.source.replace("REDUCED = False", "REDUCED = True")
    return notebook


def main() -> None:
    """Execute the notebooks in place, or those whose paths are given."""
    for path in [Path(argument) for argument in sys.argv[1:]] or NOTEBOOKS:
        print(f"executing {path.name} ...", flush=True)
        nbformat.write(executed(nbformat.read(path, as_version=4), path.parent), path)


if __name__ == "__main__":
    main()
