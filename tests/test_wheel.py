"""What is shipped: the wheel, imported where nothing of this checkout can be found."""

import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Final

import pytest

from tests.repository import GENERATED, PACKAGE
from tests.shared import PROJECT_ROOT

# -S keeps site-packages and its .pth files away, so the editable install of this checkout is out
# of reach; site-packages is then added as a plain folder, in which no .pth file is read.
_PROBE: Final = """
import importlib, json, sys
wheel, site_packages, *modules = sys.argv[1:]
sys.path[:0] = [wheel]
sys.path.append(site_packages)
for module in modules:
    importlib.import_module(module)
ours = {name: module.__file__ for name, module in sys.modules.items() if name[:8] == "caretree"}
print(json.dumps(ours))
"""


@pytest.fixture(scope="module")
def unpacked_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, unpacked into a folder that was empty."""
    built = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)]
    subprocess.run(command, cwd=PROJECT_ROOT, check=True, capture_output=True)
    (wheel,) = built.glob("*.whl")
    unpacked = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    return unpacked


def test_the_generated_code_of_the_wheel_imports_only_from_the_wheel(unpacked_wheel: Path) -> None:
    modules = _generated_modules()

    homes = _import_from(unpacked_wheel, modules)

    assert set(modules) <= homes.keys()
    strangers = {name: home for name, home in homes.items() if unpacked_wheel not in home.parents}
    assert strangers == {}


def test_the_generated_code_stays_out_of_the_rooms_of_the_same_name(unpacked_wheel: Path) -> None:
    homes = _import_from(unpacked_wheel, _generated_modules())

    assert {name for name in homes if not name.startswith("caretree.proto.")} == {
        "caretree",
        "caretree.proto",
    }


def test_the_wheel_holds_every_module_and_stub_and_the_licence(unpacked_wheel: Path) -> None:
    expected = {
        path.relative_to(PACKAGE)
        for pattern in ("*.py", "*.pyi", "py.typed")
        for path in PACKAGE.rglob(pattern)
    }
    root = unpacked_wheel / "caretree"

    shipped = {path.relative_to(root) for path in root.rglob("*") if path.is_file()}

    assert shipped == expected
    assert [path.name for path in unpacked_wheel.rglob("LICENSE")] == ["LICENSE"]


def _generated_modules() -> list[str]:
    paths = [path for folder in GENERATED for path in sorted(folder.rglob("*_pb2*.py"))]
    assert paths, "no generated code: run `make proto`"
    return [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in paths]


def _import_from(wheel: Path, modules: list[str]) -> dict[str, Path]:
    site_packages = sysconfig.get_path("purelib")
    command = [sys.executable, "-I", "-S", "-B", "-c", _PROBE, str(wheel), site_packages, *modules]
    done = subprocess.run(command, cwd=wheel, check=True, capture_output=True, text=True)
    return {name: Path(home) for name, home in json.loads(done.stdout).items()}
