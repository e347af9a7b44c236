"""Runs notebooks in Deno's kernel for TypeScript, from top to bottom."""

import json
import os
import queue
import sys
import tempfile

import nbformat
from nbclient import NotebookClient

# Seconds without a message after which a cell has printed all of it.
SILENCE = 0.5


def execute(path, deno):
    """The notebook with what its cells put out. The kernel runs in the folder of the notebook. Fails as a cell fails."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as data:
        folder = os.path.join(data, "kernels", "deno")
        os.makedirs(folder)
        command = [deno, "jupyter", "--kernel", "--conn", "{connection_file}"]
        with open(os.path.join(folder, "kernel.json"), "w") as file:
            json.dump({"argv": command, "display_name": "Deno", "language": "typescript"}, file)
        before = os.environ.get("JUPYTER_DATA_DIR")
        os.environ["JUPYTER_DATA_DIR"] = data
        try:
            place = {"metadata": {"path": os.path.dirname(path)}}
            client = NotebookClient(notebook, timeout=600, kernel_name="deno", resources=place, record_timing=False)
            client.on_cell_executed = late_prints(client)
            client.execute()
        finally:
            if before is None:
                del os.environ["JUPYTER_DATA_DIR"]
            else:
                os.environ["JUPYTER_DATA_DIR"] = before
    return notebook


def late_prints(client):
    """Deno's kernel may say that a cell has ended before it passes on what that printed last, which nbclient would drop."""

    async def collect(cell, cell_index, execute_reply):
        while True:
            try:
                message = await client.kc.get_iopub_msg(timeout=SILENCE)
            except queue.Empty:
                return
            if message["parent_header"].get("msg_id") == execute_reply["parent_header"]["msg_id"]:
                client.process_message(message, cell, cell_index)

    return collect


def outputs(path, deno):
    """What each code cell prints, as stored and as run now, and the types of what it draws."""

    def printed(cell):
        return "".join(output.text for output in cell.outputs if output.output_type == "stream")

    def drawn(cell):
        return [kind for output in cell.outputs if "data" in output for kind in output.data]

    def all_of(notebook):
        return [{"printed": printed(cell), "drawn": drawn(cell)} for cell in notebook.cells if cell.cell_type == "code"]

    return {"stored": all_of(nbformat.read(path, as_version=4)), "now": all_of(execute(path, deno))}


if __name__ == "__main__":
    done = execute(*sys.argv[1:])
    done.metadata = nbformat.read(sys.argv[1], as_version=4).metadata
    nbformat.write(done, sys.argv[1])
