"""The notebooks: sources run at a small size, without Jupyter and a network, and each .ipynb is that of its source."""

import importlib.util
import json
import warnings
from pathlib import Path

import jax
import matplotlib
import pytest
from matplotlib import pyplot as plt

from vidjax import models, sharding, step
from vidjax.data import clips
from vidjax.inference import restore
from vidjax.weights.load import find

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("sources", ROOT / "docs/notebooks/sources.py")
sources = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sources)

SMALL = {  # what each notebook's cell of parameters is replaced by
    "01_frame_features": {"TRAIN": 16, "TEST": 8, "FRAMES": 2},
    "02_lstm": {"STEPS": 10, "SEEDS": 2, "HIDDEN": 4, "CUE_STEPS": 12},
    "03_order": {"TRAIN": 32, "TEST": 32, "STEPS": 10, "SIZE": 22},
    "04_cnn_lstm": {"TRAIN": 24, "TEST": 12, "FRAMES": 6, "STEPS": 10},
    "05_two_streams": {"TRAIN": 40, "TEST": 40, "STEPS": 10, "METHODS": ("lucas_kanade",)},
    "06_i3d": {"TRAIN": 16, "TEST": 8, "FRAMES": 8, "SIZE": 32, "LONG": 16, "STEPS": 10, "WIDTH": 1 / 64},
    "07_cnn_images": {"STEPS": 10, "BATCH": 8, "FEW": 10, "MANY": 20, "WIDTH": 0.125},
    "08_one_shot": {"STEPS": 10, "CLASSES": 16, "EXAMPLES": 4, "POINTS": 8, "EPISODES": 5},
    "09_every_frame": {"TRAIN": 4, "TEST": 4, "STEPS": 10, "FRAMES": 8, "REST": 4},
    "10_what_each_sees": {"TRAIN": 32, "TEST": 24, "STEPS": 10, "GAPS": (0,)},
}

SLOW = {"06_i3d"}  # compiles I3D and its training step: a minute


def narrow_weights(name: str) -> restore.Trained:
    """What `restore.from_weights` returns, but narrow and random."""
    entry = find(name)
    model = models.make_model(num_classes=len(entry.labels), width=1 / 32, **entry.model)
    init = jax.jit(lambda batch: step.init_variables(0, batch, model=model, spec=entry.preprocess))
    params, model_state = init(clips.blank_batch({}, {**entry.clip, "num_frames": 8, "size": 64}, 1))
    return restore.Trained(
        name=name,
        model=model,
        params=params,
        model_state=model_state,
        mesh=sharding.make_mesh(),
        labels=list(entry.labels),
        preprocess=entry.preprocess,
        clip=entry.clip,
        inputs=entry.inputs,
    )


@pytest.fixture
def pictures(monkeypatch):
    """Shows figures to nobody, and counts them."""
    matplotlib.use("Agg")
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf().canvas.draw()) or plt.close("all"))
    yield shown
    plt.close("all")
    plt.rcdefaults()


def test_all_notebooks_are_tested():
    assert [path.stem for path in sources.all_sources()] == list(SMALL)


@pytest.mark.parametrize("name", [pytest.param(x, marks=pytest.mark.slow) if x in SLOW else x for x in SMALL])
def test_a_notebook_runs_at_a_small_size(name, monkeypatch, tmp_path, pictures):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(restore, "from_weights", narrow_weights)
    namespace = {"__name__": name}
    cells = sources.cells_of(ROOT / f"docs/notebooks/{name}.py")
    assert [cell.tags for cell in cells if cell.tags] == [("parameters",)]
    for number, cell in enumerate(cells):
        if cell.kind == "code":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of scikit-learn: few examples, few iterations
                exec(compile(cell.source, f"{name}, cell {number}", "exec"), namespace)
        if "parameters" in cell.tags:
            assert set(SMALL[name]) <= set(namespace)
            namespace |= SMALL[name]
    assert len(pictures) >= 4


@pytest.mark.parametrize("name", SMALL)
def test_a_notebook_has_the_cells_of_its_source_and_pictures(name):
    path = ROOT / f"docs/notebooks/{name}.ipynb"
    text = path.read_text()
    cells = json.loads(text)["cells"]
    found = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    remedy = f"{path} is not up to date: run python docs/notebooks/build.py {name}"
    assert found == [(cell.kind, cell.source) for cell in sources.cells_of(path.with_suffix(".py"))], remedy
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 4
    assert not any(output["output_type"] == "error" or output.get("name") == "stderr" for output in outputs)
    assert len(text) <= 400_000


def test_the_index_lists_all_notebooks():
    text = (ROOT / "docs/notebooks/README.md").read_text()
    assert all(f"({name}.ipynb)" in text for name in SMALL)
    assert sorted(path.stem for path in (ROOT / "docs/notebooks").glob("*.ipynb")) == list(SMALL)


def test_a_source_without_a_first_cell_is_refused(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n# %%\nx = 2\n")
    with pytest.raises(ValueError, match="must begin with a cell"):
        sources.cells_of(tmp_path / "a.py")


def test_cells_have_a_kind_a_text_and_tags(tmp_path):
    text = '# %% [markdown]\n# # Title\n#\n# text\n\n# %% tags=["parameters"]\nx = 1\n\n\n# %%\n'
    (tmp_path / "a.py").write_text(text)
    assert sources.cells_of(tmp_path / "a.py") == [
        ("markdown", "# Title\n\ntext", ()),
        ("code", "x = 1", ("parameters",)),
        ("code", "", ()),
    ]
