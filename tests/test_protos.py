"""Generated code lives in caretree.proto; what the wire shows keeps the names of proto/."""

import importlib
from types import ModuleType

import pytest
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import Message

from ops.generate_protos import rewrite
from tests.repository import GENERATED, PACKAGE
from tests.shared import PROJECT_ROOT

_SOURCES = sorted((PROJECT_ROOT / "proto").rglob("*.proto"))
_NAMES = [path.relative_to(PROJECT_ROOT / "proto").as_posix() for path in _SOURCES]


@pytest.mark.parametrize("name", _NAMES)
def test_a_descriptor_keeps_the_name_of_its_proto_file(name: str) -> None:
    descriptor = _module(name).DESCRIPTOR

    assert isinstance(descriptor, FileDescriptor)
    assert descriptor.name == name


@pytest.mark.parametrize("name", _NAMES)
def test_a_message_class_says_where_python_finds_it(name: str) -> None:
    module = _module(name)
    messages = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Message)
    ]

    assert {message.__module__ for message in messages} <= {module.__name__}


def test_every_generated_module_has_a_stub() -> None:
    modules = {path for folder in GENERATED for path in folder.rglob("*_pb2*.py")}

    assert [path for path in modules if not path.with_suffix(".pyi").is_file()] == []


def test_only_imports_and_class_homes_are_rewritten() -> None:
    generated = (
        "from caretree.ledger.v1 import body_pb2 as caretree_dot_ledger\n"
        "_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, 'caretree.api.v1.x_pb2', _globals)\n"
        "        '/caretree.api.v1.RecordService/Append',\n"
        "    from caretree.ledger.v10 import not_ours\n"
    )

    assert rewrite(generated) == (
        "from caretree.proto.ledger.v1 import body_pb2 as caretree_dot_ledger\n"
        "_builder.BuildTopDescriptorsAndMessages"
        "(DESCRIPTOR, 'caretree.proto.api.v1.x_pb2', _globals)\n"
        "        '/caretree.api.v1.RecordService/Append',\n"
        "    from caretree.ledger.v10 import not_ours\n"
    )


def _module(name: str) -> ModuleType:
    parts = name.removesuffix(".proto").split("/")
    assert PACKAGE.name == parts[0]
    return importlib.import_module(".".join(["caretree", "proto", *parts[1:]]) + "_pb2")
