"""Which package may import which: downwards only, see the list of layers."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEAVES = (
    "extras",
    "output_paths",
    "config_files",
    "progress_bar",
    "trees",
)  # import nothing of ours, and serve every layer
CORE = (
    *(
        "config",
        "config_checks",
        "preprocess",
        "step",
        "losses",
        "metrics",
        "optimizer",
        "sharding",
        "checkpoint",
        "plots",
    ),
    *("eval_protocols", "checksums", "compile_options", "label_fonts", "batch_augment", "best_checkpoint"),
)
COMMAND_FILES = ("data.make_records",)  # commands in packages of libraries
COMMANDS = (
    "__main__",
    "train",
    "evaluate",
    "predict",
    "detect",
    "gallery",
    "features",
    "search",
    "describe",
    "crossval",
    "summary",
    "bench",
)
# From the bottom up. A package is its modules, but for its command
LAYERS = [
    *(LEAVES, ("models",), ("flow",), ("data",), ("weights",), CORE),
    *(("inference",), ("training",), ("evaluation",), ("analysis",), ("export",), ("ladder",), ("report",), COMMANDS),
]
PLAIN = ("models", "flow", "preprocess", "losses", "metrics", "step")  # run where there is just JAX
LIBRARIES = {"jax", "flax", "optax", "einops", "numpy"}
NEED_MORE = {"flow.opencv": "cv2"}


def modules() -> dict[str, Path]:
    """All modules of the project by name, without `vidjax.`; packages by the name of the directory."""
    paths = sorted((ROOT / "vidjax").rglob("*.py"))
    names = {path: ".".join(path.relative_to(ROOT / "vidjax").with_suffix("").parts) for path in paths}
    return {name.removesuffix(".__init__"): path for path, name in names.items() if name != "__init__"}


MODULES = modules()


def imports_of(path: Path, everywhere: bool = True) -> set[str]:
    """What a file imports, as "models.resnet" of ours and "jax" of others; or only at its top."""
    tree = ast.parse(path.read_text())
    found = set()
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("vidjax"):
            found.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.ImportFrom):
            base = node.module.removeprefix("vidjax").lstrip(".")
            for alias in node.names:
                name = f"{base}.{alias.name}".lstrip(".")
                found.add(f"vidjax.{name if name in MODULES else base}")
    return found


def layer_of(name: str) -> int:
    """The place of a module in `LAYERS`; a package's command is one of the commands."""
    top = "__main__" if name.endswith(".__main__") or name in COMMAND_FILES else name.partition(".")[0]
    return next(i for i, layer in enumerate(LAYERS) if top in layer)


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_down(name):
    own = LAYERS[layer_of(name)]
    for imported in imports_of(MODULES[name]):
        if not imported.startswith("vidjax."):
            continue
        imported = imported.removeprefix("vidjax.")
        is_same = name.partition(".")[0] == imported.partition(".")[0]
        is_below = layer_of(imported) < layer_of(name) or own in (CORE, COMMANDS) and LAYERS[layer_of(imported)] is own
        assert is_same or is_below, f"{name} imports {imported}"


def test_data_imports_flow_only_where_it_is_computed():
    for name, path in MODULES.items():
        if name.startswith("data."):
            assert not any(x.startswith("vidjax.flow") for x in imports_of(path, everywhere=False)), name


def test_no_module_imports_itself_in_a_circle():
    ours = {name: set() for name in MODULES}
    for name, path in MODULES.items():
        found = imports_of(path, everywhere=False)
        ours[name] = {x.removeprefix("vidjax.") for x in found if x.startswith("vidjax.")} & set(MODULES) - {name}
    while free := [name for name, rest in ours.items() if not rest & set(ours)]:
        for name in free:
            del ours[name]
    assert not ours


@pytest.mark.parametrize("name", [name for name in MODULES if name.partition(".")[0] in PLAIN])
def test_models_and_the_step_need_jax_alone(name):
    if name == "flow.__main__":
        return
    allowed = LIBRARIES | {NEED_MORE.get(name, "")}
    others = {x for x in imports_of(MODULES[name]) if not x.startswith("vidjax.")}
    assert others - allowed - set(sys.stdlib_module_names) == set()


def test_a_wrong_import_is_found(tmp_path, monkeypatch):
    path = tmp_path / "resnet.py"
    path.write_text("from vidjax import train\n")
    monkeypatch.setitem(MODULES, "models.resnet", path)
    with pytest.raises(AssertionError, match="models.resnet imports train"):
        test_imports_point_down("models.resnet")
