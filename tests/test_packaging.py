"""What is installed has everything that the source tree has."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_wheel_carries_the_connector_the_sample_tests_and_the_type_marker(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "tp_mcp/connectors/tp.yaml" in names
    assert "tp_mcp/py.typed" in names
    suite = ROOT / "tp_mcp" / "simulator" / "suite"
    sources = {path for path in suite.rglob("*") if path.suffix in {".py", ".ini"}}
    assert {str(path.relative_to(ROOT)) for path in sources} <= names
