"""Copies configs/ into the wheel, so that commands find them outside of the repository; see vidjax/config_files.py."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    def run(self):
        super().run()
        if not self.editable_mode:
            shutil.copytree(
                "configs",
                Path(self.build_lib) / "vidjax/installed/configs",
                ignore=shutil.ignore_patterns("__pycache__"),
                dirs_exist_ok=True,
            )


setup(cmdclass={"build_py": BuildWithConfigs})
