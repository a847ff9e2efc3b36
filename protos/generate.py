"""Generate the import package ``hutong.v1`` from the schema, and check it.

The field rules are options of ``buf/validate/validate.proto``. That file is not
kept here: its descriptor ships inside the pinned ``protovalidate`` package and
is handed to the compiler as a descriptor set, so schema and validator can never
disagree.

Usage::

    python protos/generate.py            # rewrite protos/gen
    python protos/generate.py --check    # fail if protos/gen is not what it would write
    python protos/generate.py --image F  # write the image that the linter reads

The compiler is that of grpcio-tools 1.74, kept old on purpose: what it makes
runs on protobuf 6.31 and later (see docs/adr).
"""

from __future__ import annotations

import argparse
import filecmp
import importlib.resources
import shutil
import sys
import tempfile
from pathlib import Path

from google.protobuf import (
    descriptor_pb2,
    duration_pb2,
    field_mask_pb2,
    timestamp_pb2,
)
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb  # the only place the descriptor lives

_PROTOS = Path(__file__).resolve().parent
_GENERATED = _PROTOS / "gen"
_VALIDATE = "buf/validate/validate.proto"


def _well_known() -> str:
    return str(importlib.resources.files("grpc_tools") / "_proto")


def _run(*arguments: str) -> None:
    if protoc.main(["protoc", *arguments]) != 0:
        sys.exit("protoc failed; see the messages above")


def _sources() -> list[str]:
    return sorted(str(path.relative_to(_PROTOS)) for path in _PROTOS.glob("hutong/**/*.proto"))


def _validate_set(folder: Path) -> Path:
    """Write a descriptor set with validate.proto and what it imports."""
    files = descriptor_pb2.FileDescriptorSet()
    for module in (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2):
        module.DESCRIPTOR.CopyToProto(files.file.add())
    files.file.add().ParseFromString(bytes(validate_pb.desc().proto.to_binary()))
    path = folder / "validate.binpb"
    path.write_bytes(files.SerializeToString())
    return path


def _image(target: Path, work: Path) -> None:
    _run(
        f"--descriptor_set_in={_validate_set(work)}",
        f"-I{_PROTOS}",
        "--include_imports",
        "--include_source_info",
        f"--descriptor_set_out={target}",
        *_sources(),
    )


def _generate(target: Path, work: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    outputs = [f"--python_out={target}", f"--mypy_out=quiet:{target}"]
    descriptors = f"--descriptor_set_in={_validate_set(work)}"
    _run(
        descriptors,
        f"-I{_PROTOS}",
        *outputs,
        f"--grpc_python_out={target}",
        f"--mypy_grpc_out=quiet,only_async:{target}",
        *_sources(),
    )
    _run(descriptors, *outputs, _VALIDATE)
    for package in sorted({path.parent for path in target.rglob("*_pb2.py")}):
        (package / "py.typed").touch()
        folder = package
        while folder != target:
            init = folder / "__init__.py"
            if not init.exists():
                name = ".".join(folder.relative_to(target).parts)
                init.write_text(f'"""Generated package ``{name}``: edit the schema, not this."""\n')
            folder = folder.parent
    for stub in target.rglob("*_pb2_grpc.py"):  # files without a service bear no code
        if "class " not in stub.read_text():
            stub.unlink()
            stub.with_suffix(".pyi").unlink(missing_ok=True)


def _differences(left: Path, right: Path) -> list[str]:
    names = {p.relative_to(left) for p in left.rglob("*") if p.is_file()} | {
        p.relative_to(right) for p in right.rglob("*") if p.is_file()
    }
    kept = {name for name in names if name.suffix != ".pyc"}
    return sorted(
        str(name)
        for name in kept
        if not (left / name).exists()
        or not (right / name).exists()
        or not filecmp.cmp(left / name, right / name, shallow=False)
    )


def main() -> int:
    """Run the command line described in the module docstring."""
    parser = argparse.ArgumentParser(description="Generate hutong.v1 from protos/hutong/v1.")
    parser.add_argument("--check", action="store_true", help="fail when protos/gen is stale")
    parser.add_argument("--image", type=Path, help="write a buf image here and stop")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        if arguments.image:
            _image(arguments.image, work)
            return 0
        fresh = work / "gen"
        _generate(fresh, work)
        if arguments.check:
            stale = _differences(fresh, _GENERATED)
            for path in stale:
                print(f"stale: protos/gen/{path}", file=sys.stderr)
            if stale:
                print("run `make generate` and commit the result", file=sys.stderr)
            return 1 if stale else 0
        shutil.rmtree(_GENERATED, ignore_errors=True)
        shutil.copytree(fresh, _GENERATED)
    return 0


if __name__ == "__main__":
    sys.exit(main())
