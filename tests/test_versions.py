"""`make versions` runs a target on every supported Python, and names the interpreters that are missing."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TARGET = "print-interpreter"


@pytest.fixture
def interpreters(tmp_path: Path) -> Path:
    """Return a directory for the PATH, with the tools that make needs and no Python."""
    for tool in ("make", "sh"):
        found = next(Path(folder) / tool for folder in ("/usr/bin", "/bin") if (Path(folder) / tool).exists())
        (tmp_path / tool).symlink_to(found)
    return tmp_path


def add_python(folder: Path, version: str) -> None:
    script = folder / f"python{version}"
    script.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    script.chmod(0o755)


def versions(folder: Path, target: str) -> subprocess.CompletedProcess[str]:
    makefile = folder / "Makefile"
    makefile.write_text(
        f"include {ROOT / 'Makefile'}\n{TARGET}:\n\t@:; echo ran with $(PYTHON) in $(VENV)\nbroken:\n\t@exit 3\n",
        encoding="utf-8",
    )
    make = f"make --no-print-directory -f {makefile}"
    return subprocess.run(
        [*make.split(), "versions", f"TARGET={target}", f"MAKE={make}"],
        cwd=folder,
        env={"PATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_each_interpreter_found_runs_the_target_in_an_environment_of_its_own(interpreters: Path) -> None:
    add_python(interpreters, "3.11")
    add_python(interpreters, "3.13")
    run = versions(interpreters, TARGET)
    assert run.returncode == 0, run.stderr
    assert "ran with python3.11 in .venvs/3.11" in run.stdout
    assert "ran with python3.13 in .venvs/3.13" in run.stdout
    assert "not found on PATH, so not tested: python3.12" in run.stdout


def test_a_failure_on_one_python_fails_the_command_and_names_it(interpreters: Path) -> None:
    for version in ("3.11", "3.12", "3.13"):
        add_python(interpreters, version)
    run = versions(interpreters, "broken")
    assert run.returncode != 0
    assert "failed on Python: 3.11 3.12 3.13" in run.stdout
    assert "not found" not in run.stdout


def test_the_tested_versions_are_those_that_the_package_and_the_workflow_declare() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    tested = re.search(r"^PYTHONS := (.+)$", makefile, flags=re.MULTILINE)
    assert tested is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = re.findall(r"Python :: (3\.\d+)'", str(project["classifiers"]))
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert tested[1].split() == declared
    assert str(declared).replace("'", '"') in workflow


def test_the_lock_file_pins_every_direct_dependency_and_names_no_host() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = {_normal(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==\S+$", lock, flags=re.MULTILINE)}
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*document["project"]["dependencies"], *document["dependency-groups"]["dev"]]
    assert {_normal(re.split(r"[><=\[;]", each)[0]) for each in wanted} <= pinned
    assert "://" not in lock
    assert "@" not in lock


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
