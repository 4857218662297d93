"""The pages for users: links lead somewhere, commands exist and run, and sentences are short.

A block in ```bash is run at small size in a temporary directory, unless the comment `<!-- skip: REASON -->` is above
it. The commands of all blocks are parsed: flags, choices, configs and their keys exist.
"""

import argparse
import functools
import importlib
import re
import shutil
import sys
from pathlib import Path

import pytest
from absl import flags
from ml_collections import config_flags

from tests import markdown
from tests.markdown import ROOT, Block
from vidjax import __main__ as vidjax_command
from vidjax import config_checks, models, summary, train

NOT_RUN = {  # pages without comments
    "docs/datasets.md": "needs published datasets",
    "docs/flow.md": "trains networks of flow for minutes",
    "docs/pretraining.md": "pretrains for minutes, and downloads weights",
}
SMALL = {  # what makes a command take seconds
    "train": ["--config.num_epochs=0.3", "--config.batch_size=4", "--config.schedule.warmup_steps=0"],
    "make-records": ["--workers", "1"],
    "report": ["--no_maps", "--examples", "2"],
}
MOST_WORDS = 30  # in a sentence
MOST_LONG = 0  # sentences
PAGES = markdown.pages()
BLOCKS = [block for page in PAGES for block in markdown.blocks(page)]


def name_of(block: Block) -> str:
    return f"{block.page}:{block.line}"


def reason_of(block: Block) -> str | None:
    return block.reason or NOT_RUN.get(block.page)


# ------------------------------------------------------------------------------------------------- links, sentences


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page):
    for target in markdown.links(page):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), f"{page} links to {target}, which does not exist."
        if anchor:
            found = markdown.anchors(str(file.resolve().relative_to(ROOT.resolve())))
            assert anchor in found, f"{page} links to {target}; the headings are {sorted(found)}."


def test_the_list_of_pages_is_complete():
    listed = set(markdown.links("docs/README.md"))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"} <= listed


@pytest.mark.parametrize("page", [page for page in PAGES if page.count("/") <= 1])
def test_pages_are_short(page):
    assert len(markdown.read(page).splitlines()) <= 200


def test_sentences_are_short():
    long = [(page, s) for page in PAGES for s in markdown.sentences(page) if len(s.split()) > MOST_WORDS]
    listed = "\n".join(f"{page}, {len(sentence.split())} words: {sentence}" for page, sentence in long)
    assert len(long) <= MOST_LONG, f"Split these sentences:\n{listed}"


def test_sentences_of_a_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# Title\n\nOne `a b c`. Two\nlines.\n- item\n\n| a | b |\n\n<!-- skip: no -->\n```bash\nls -l\n```\n"
    )
    assert markdown.sentences(str(page)) == ["One CODE.", "Two lines.", "- item"]
    assert markdown.blocks(str(page)) == [Block(str(page), 9, "ls -l\n", "no")]


# ------------------------------------------------------------------------------------------------- commands exist


class Parser(Exception):
    """Carries the parser of a command out of its `main`, before anything is parsed."""


@functools.cache
def parser_of(module: str) -> argparse.ArgumentParser:
    """The argparse parser of a command."""

    def caught(parser, *_, **__):
        raise Parser(parser)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_known_args", caught)
        patch.setattr(sys, "argv", ["vidjax"])
        try:
            main_module(module).main()
        except Parser as found:
            return found.args[0]
    raise AssertionError(f"{module} parses no arguments.")


def main_module(module: str):
    found = importlib.import_module(module)
    return importlib.import_module(f"{module}.__main__") if hasattr(found, "__path__") else found


@functools.cache
def absl_flags(module: str) -> frozenset[str]:
    """The names of the absl flags that a command defines when it runs; empty for one with argparse."""
    text = Path(main_module(module).__file__).read_text()
    return frozenset(re.findall(r"flags\.DEFINE_\w+\(\s*\"(\w+)\"", text) if "app.run(" in text else [])


def resolve(words: list[str]) -> tuple[str, list[str]] | None:
    """The module and the arguments of a command of vidjax; None for another program."""
    if words[0] == "vidjax":
        if words[1].startswith("-") or words[1] == "COMMAND":
            return None
        name = words[1].replace("_", "-")
        assert name in vidjax_command.COMMANDS, f"vidjax has no command {words[1]}."
        return vidjax_command.COMMANDS[name][0], words[2:]
    if words[:2] == ["python", "-m"] and words[2].startswith("vidjax"):
        return words[2], words[3:]
    return None


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """All options of a parser and of its subcommands."""
    found = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= {option for sub in action.choices.values() for option in options_of(sub)}
    return found


def parse_flags(names, arguments: list[str]) -> flags.FlagValues:
    """Parses arguments like vidjax.train; an unknown flag, config or key of a config is an error."""
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", flag_values=values)
    for name in set(names) - {"config"}:
        flags.DEFINE_string(name, None, "", flag_values=values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["vidjax", *arguments])  # ml_collections finds the --config.key=value there
        rest = values(sys.argv)
    assert rest == ["vidjax"], f"Unknown arguments {rest[1:]}."
    return values


def check_command(words: list[str]):
    """Raises an error unless the command's flags, choices and configs exist."""
    if (found := resolve(words)) is None:
        return
    module, arguments = found
    if names := absl_flags(module):
        config_checks.check(parse_flags(names, arguments).config)
        return
    cut = arguments.index("--") if "--" in arguments else len(arguments)  # the rest is Beam's
    args, unknown = parser_of(module).parse_known_args(arguments[:cut])
    if module == "vidjax.summary":
        if not args.network.startswith("configs/"):
            return
        config_checks.check(summary.override(summary.find_config(args.network), unknown))
    else:
        assert not unknown, f"Unknown arguments {unknown}."


def test_help_names_a_command_as_users_type_it():
    for name, (module, _) in vidjax_command.COMMANDS.items():
        if not absl_flags(module):
            assert parser_of(module).prog in (f"vidjax {name}", f"python -m {module}")


@pytest.mark.parametrize("block", BLOCKS, ids=name_of)
def test_commands_of_blocks_have_valid_arguments(block, monkeypatch):
    monkeypatch.chdir(ROOT)
    for words in block.commands():
        try:
            check_command(words)
        except SystemExit:
            raise AssertionError(f"{name_of(block)}: {' '.join(words)} does not parse; see the output.") from None
        for path in [word for word in words if re.match(r"(configs|launch|tests)/", word)]:
            assert Path(path.partition(":")[0]).exists(), f"{name_of(block)}: {path} does not exist."


@pytest.mark.parametrize("page", PAGES)
def test_options_in_the_text_exist(page):
    for words in markdown.inline_commands(page):
        if (found := resolve(words)) is None:
            continue
        module, arguments = found
        given = {word.partition("=")[0] for word in arguments if word.startswith("--")} - {"--", "--help"}
        known = {f"--{name}" for name in absl_flags(module)} or options_of(parser_of(module))
        unknown = {option for option in given - known if not option.startswith("--config.")}
        assert not unknown, f"{page}: `{' '.join(words)}` has unknown options {sorted(unknown)}."


def test_models_and_configs_in_the_text_exist():
    for page in PAGES:
        text = markdown.read(page)
        for path in re.findall(r"\b(?:configs|launch|tests|vidjax)/[\w./]+\.(?:py|sh|yaml|sbatch)\b", text):
            assert (ROOT / path).exists(), f"{page} names {path}, which does not exist."
        for name in re.findall(r'"name": "(\w+)"', text):
            assert name in models.MODELS, f"{page} names the model {name}, which does not exist."


# ------------------------------------------------------------------------------------------------- commands run


def written_by(words: list[str]) -> set[str]:
    """The places that a command makes."""
    option = "--workdir" if "train" in " ".join(words[:3]) else "--out"
    return {words[i + 1] for i, word in enumerate(words[:-1]) if word == option}


@pytest.fixture
def desk(tiny_run, tmp_path, monkeypatch) -> Path:
    """A directory like the repository's, with the user's videos in path/to/videos, video.mp4 and film.mp4."""
    for name in ("configs", "docs", "launch", "tests", "vidjax"):
        (tmp_path / name).symlink_to(ROOT / name)
    files = [file for split in ("train", "val") for file in tiny_run.videos[split]]
    for i, file in enumerate(files):
        folder = tmp_path / "path/to/videos" / ("left", "right")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder / f"{i}.mp4")
    for name in ("video.mp4", "film.mp4"):
        shutil.copy(tiny_run.videos["test"][0], tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIDJAX_CACHE", str(tmp_path / "cache"))
    return tmp_path


def run_small(words: list[str], monkeypatch):
    """Runs a command of vidjax in this process, at small size."""
    module, arguments = resolve(words)
    command = {module: name for name, (module, _) in vidjax_command.COMMANDS.items()}[module]
    arguments = [*arguments, *SMALL.get(command, [])]
    if command == "train":
        values = parse_flags(absl_flags(module), arguments)
        assert train.train(values.config, Path(values.workdir))
        return
    monkeypatch.setattr(sys, "argv", [f"vidjax {command}", *arguments])
    assert main_module(module).main() in (None, 0)


@pytest.mark.parametrize("block", BLOCKS, ids=name_of)
def test_blocks_run(block, request, monkeypatch):
    if reason := reason_of(block):
        pytest.skip(reason)
    tiny_run = request.getfixturevalue("tiny_run")
    desk = request.getfixturevalue("desk")
    commands = block.commands()
    others = [" ".join(words) for words in commands if resolve(words) is None]
    assert not others, f"{name_of(block)}: say above the block why the tests do not run {others}: <!-- skip: REASON -->"
    made = {place for words in commands for place in written_by(words)}
    for place, source in (("data/mine", tiny_run.records), ("runs/mine", tiny_run.workdir)):
        if place not in made:
            (desk / place).parent.mkdir(exist_ok=True)
            shutil.copytree(source, desk / place)
    for words in commands:
        try:
            run_small(words, monkeypatch)
        except SystemExit as stopped:
            assert not stopped.code, f"{name_of(block)}: {' '.join(words)}: {stopped.code}"
