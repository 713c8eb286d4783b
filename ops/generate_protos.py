"""Generates daemon/caretree/proto from proto/, or with --check says whether it is up to date.

protoc writes imports that follow the proto packages (`from caretree.ledger.v1 import ...`), which
would point into the rooms of the same name. They are rewritten to `caretree.proto.ledger.v1`. What
the wire shows stays as it is: the file names of descriptors, message names and method paths.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final

PROJECT_ROOT: Final = Path(__file__).resolve().parents[1]
SOURCES: Final = PROJECT_ROOT / "proto"
TARGET: Final = PROJECT_ROOT / "daemon" / "caretree" / "proto"
PURPOSES: Final = {
    "ledger": "what is stored, hashed and signed",
    "api": "the conversation with client software",
    "peer": "the conversation between peers",
}

_PACKAGE: Final = rf"caretree\.((?:{'|'.join(PURPOSES)})\.v1)\b"
_IMPORT_LINE: Final = re.compile(rf"^(\s*(?:from|import) ){_PACKAGE}", re.MULTILINE)
# The second argument of the builder's call is the module in which Python shall find the classes.
_BUILDER_MODULE: Final = re.compile(rf"(_builder\.Build\w+\(DESCRIPTOR, '){_PACKAGE}")
_REWRITTEN: Final = r"\1caretree.proto.\2"


class GenerationError(Exception):
    """protoc refused a proto file; its own words went to stderr."""


def main() -> int:
    """0 when the generated code is in place, 1 when --check finds a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, name what differs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        if arguments.check:
            return _report(differing_files(fresh, TARGET))
        install(fresh, TARGET)
    return 0


def generate(target: Path) -> None:
    """Fills `target` with the packages ledger, api and peer, generated from proto/.

    Raises:
        GenerationError: when protoc fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder)
        _run_protoc(raw)
        for path in sorted(raw.rglob("*.py*")):
            text = path.read_text(encoding="utf-8")
            if _says_something(path, text):
                destination = target / path.relative_to(raw / "caretree")
                destination.parent.mkdir(parents=True, exist_ok=True)
                destination.write_text(rewrite(text), encoding="utf-8")
    for name in _package_names():
        _write_docstring(target / name, f"Generated from proto/caretree/{name}: {PURPOSES[name]}.")
        _write_docstring(target / name / "v1", f"Generated from proto/caretree/{name}/v1.")


def rewrite(text: str) -> str:
    """Generated Python with imports and class homes moved to caretree.proto."""
    return _BUILDER_MODULE.sub(_REWRITTEN, _IMPORT_LINE.sub(_REWRITTEN, text))


def differing_files(fresh: Path, target: Path) -> list[str]:
    """The names, relative to the proto package, that are missing, left over or different."""
    ours = _generated_files(fresh)
    theirs = _generated_files(target)
    names = ours.keys() | theirs.keys()
    return sorted(name for name in names if ours.get(name) != theirs.get(name))


def install(fresh: Path, target: Path) -> None:
    """Replaces the generated packages of `target` by those of `fresh`."""
    for name in PURPOSES:
        shutil.rmtree(target / name, ignore_errors=True)
        if (fresh / name).is_dir():
            shutil.copytree(fresh / name, target / name)


def _says_something(path: Path, text: str) -> bool:
    """False for the gRPC halves of files without a service, which hold a version check alone."""
    return "_pb2_grpc." not in path.name or "\nclass " in text


def _package_names() -> list[str]:
    return [name for name in PURPOSES if any((SOURCES / "caretree" / name).rglob("*.proto"))]


def _run_protoc(target: Path) -> None:
    files = sorted(str(path.relative_to(SOURCES)) for path in SOURCES.rglob("*.proto"))
    assert files, f"no .proto file below {SOURCES}"
    beside_python = Path(sys.executable).parent
    command = [
        *(sys.executable, "-m", "grpc_tools.protoc"),
        f"--proto_path={SOURCES}",
        f"--proto_path={_well_known_protos()}",
        f"--plugin=protoc-gen-mypy={beside_python / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={beside_python / 'protoc-gen-mypy_grpc'}",
        f"--python_out={target}",
        f"--grpc_python_out={target}",
        f"--mypy_out=quiet:{target}",
        f"--mypy_grpc_out=quiet,only_async:{target}",
        *files,
    ]
    if subprocess.run(command, check=False).returncode != 0:
        raise GenerationError("protoc failed; the reason stands above")


def _well_known_protos() -> Path:
    """The folder of google/protobuf/*.proto that grpcio-tools brings along."""
    spec = find_spec("grpc_tools")
    assert spec is not None, "grpcio-tools is in requirements.lock"
    assert spec.origin is not None, "grpcio-tools is an ordinary package"
    return Path(spec.origin).parent / "_proto"


def _write_docstring(package: Path, sentence: str) -> None:
    (package / "__init__.py").write_text(f'"""{sentence}"""\n', encoding="utf-8")


def _generated_files(root: Path) -> dict[str, bytes]:
    paths = [path for name in PURPOSES for path in (root / name).rglob("*.py*")]
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in paths
        if path.suffix in {".py", ".pyi"}
    }


def _report(differing: list[str]) -> int:
    for name in differing:
        print(f"not as generated from proto/: daemon/caretree/proto/{name}", file=sys.stderr)
    if differing:
        print("run `make proto` and commit the result", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
