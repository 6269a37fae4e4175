"""`pva runtime-policy`: what may run on a model, from a good machine's IMA list to the signed policy."""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Final

import click
from pydantic import Field, StringConstraints

from cli.answers import Answer
from cli.failures import refused
from cli.files import Signer, file_in, out_option, read_certificates, read_file, signer_options, write_file
from cli.invocation import Invocation, Section, pass_invocation
from edge.settings import Settings, SettingsPath, load_settings
from messages.errors import MessageError
from messages.runtime_policy import (
    KEYS_MAX,
    MODELS_MAX,
    NAME_MAX,
    RUNTIME_POLICY_BYTES_MAX,
    RuntimePolicy,
    read_unverified_policy,
    sign_runtime_policy,
    verify_runtime_policy,
)
from standards.ima.decode import LIST_BYTES_MAX, decode_binary_list
from standards.ima.errors import ImaError
from standards.ima.measured import BOOT_AGGREGATE, read_measured
from standards.ima.replay import verify_template_digests
from standards.pki.errors import PkiError
from standards.pki.fingerprints import spki_der
from standards.rats.errors import RatsError

_BANK: Final = "sha256"
_Text = Annotated[str, StringConstraints(min_length=1, max_length=NAME_MAX)]
_Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class RuntimePolicyDescription(Settings):
    """What a supplier writes down: lists of good machines, files by path, certificates of keys that sign files."""

    supplier: _Text
    id: _Text
    models: Annotated[list[_Text], Field(min_length=1, max_length=MODELS_MAX)]
    ima_lists: tuple[SettingsPath, ...] = ()
    files: dict[str, list[_Digest]] = Field(default_factory=dict)
    signers: Annotated[tuple[SettingsPath, ...], Field(max_length=KEYS_MAX)] = ()


@click.group("runtime-policy", cls=Section)
def runtime_policy() -> None:
    """Runtime policies: which files may run on a device (IMA), signed by its supplier."""


@runtime_policy.command("sign")
@click.argument("path", type=file_in, metavar="DESCRIPTION")
@signer_options
@out_option("Write the signed policy to this file.", required=True)
@pass_invocation
def sign(invocation: Invocation, *, path: Path, signer: Signer, out: Path) -> None:
    """Sign a runtime policy with the supplier's own key; nothing is sent.

    DESCRIPTION is TOML: supplier, id, models, and any of: IMA lists of good machines, files with their digests,
    certificates of keys that sign files.
    """
    description = load_settings(RuntimePolicyDescription, path=path, environ={})
    try:
        made = policy_of(description)
        signed = sign_runtime_policy(made, key=signer.key, chain=signer.chain)
    except (ImaError, MessageError, RatsError, PkiError) as error:
        remedy = (
            "correct the description, its lists, or the pair of --key and --certificate; nothing was signed"
        )
        raise refused("runtime-policy", subject=str(path), reason=str(error), remedy=remedy) from None
    write_file(out, signed)
    step = f"read what you signed: pva runtime-policy verify {out} --root FILE; then hand it to the PVA's administrator"
    invocation.answer(Answer(outcome="signed", members={**_summary(made), "file": str(out)}, next_step=step))


@runtime_policy.command("verify")
@click.argument("path", type=file_in, metavar="FILE")
@click.option("--root", type=file_in, required=True, help="The supplier's ES root (PEM).")
@pass_invocation
def verify(invocation: Invocation, *, path: Path, root: Path) -> None:
    """Verify a signed runtime policy under its supplier's root. Needs no network.

    A PVA is given it by the setting `runtime_policies`, and reads a file that is replaced at the next validation.
    """
    data = read_file(path, bytes_max=RUNTIME_POLICY_BYTES_MAX)
    try:
        verified = verify_runtime_policy(data, anchors=read_certificates(root), at=invocation.clock())
    except (MessageError, PkiError) as error:
        remedy = "check the root; if it is the right one, ask the supplier for the policy again"
        raise refused(
            "runtime-policy-not-genuine", subject=str(path), reason=str(error), remedy=remedy
        ) from None
    invocation.answer(Answer(outcome="genuine", members=_summary(verified.policy)))


@runtime_policy.command("diff")
@click.argument("old", type=file_in)
@click.argument("new", type=file_in)
@pass_invocation
def diff(invocation: Invocation, *, old: Path, new: Path) -> None:
    """Show what differs between two signed runtime policies: files by path, keys by digest. Needs no network.

    Signatures are not checked here: pva runtime-policy verify does that.
    """
    before, after = _said(_read(old)), _said(_read(new))
    rows = [
        {"name": name, "old": before.get(name, "-"), "new": after.get(name, "-")}
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]
    count = f"{len(rows)} difference{'s' if len(rows) != 1 else ''}"
    invocation.answer(Answer(outcome=count, members={"differences": rows}))


def _read(path: Path) -> RuntimePolicy:
    try:
        return read_unverified_policy(read_file(path, bytes_max=RUNTIME_POLICY_BYTES_MAX))
    except MessageError as error:
        remedy = "name a runtime policy as pva runtime-policy sign wrote it"
        raise refused("runtime-policy", subject=str(path), reason=str(error), remedy=remedy) from None


def _said(policy: RuntimePolicy) -> dict[str, str]:
    """Everything that a policy says, by name."""
    facts = {"id": policy.id, "supplier": policy.supplier, "models": ", ".join(policy.models)}
    files = {
        f"file {_path(path)}": ", ".join(sorted(each.hex() for each in digests))
        for path, digests in policy.files.items()
    }
    keys = {f"key {hashlib.sha256(key).hexdigest()}": "signs files" for key in policy.keys}
    return facts | files | keys


def _path(path: bytes) -> str:
    """A path as text, such that two paths are never shown alike."""
    return path.replace(b"\\", b"\\\\").decode("ascii", "backslashreplace")


def policy_of(description: RuntimePolicyDescription) -> RuntimePolicy:
    """The policy that a description stands for. Raises ImaError, MessageError, PkiError, CliError."""
    files: dict[bytes, set[bytes]] = {}
    for path, digests in description.files.items():
        files.setdefault(path.encode(), set()).update(bytes.fromhex(each) for each in digests)
    for each in description.ima_lists:
        _add_measured(files, read_file(each, bytes_max=LIST_BYTES_MAX))
    certificates = [read_certificates(each)[0] for each in description.signers]
    return RuntimePolicy(
        supplier=description.supplier,
        id=description.id,
        models=tuple(sorted(set(description.models))),
        files={path: frozenset(digests) for path, digests in files.items()},
        keys=tuple(sorted({spki_der(each.public_key()) for each in certificates})),
    )


def _add_measured(files: dict[bytes, set[bytes]], data: bytes) -> None:
    """What a good machine measured; a violation there is no reference, and neither is another hash than SHA-256."""
    entries = decode_binary_list(data)
    verify_template_digests(entries)
    for entry in entries.entries(up_to=len(entries)):
        said = read_measured(entry)
        if said.name == BOOT_AGGREGATE or not said.name:
            continue
        if entry.violation or said.algorithm != _BANK or said.digest is None:
            got = "a violation" if entry.violation else str(said.algorithm)
            raise ImaError(what="measurement", expected=f"one by {_BANK}", got=got, entry=entry.number)
        files.setdefault(said.name, set()).add(said.digest)


def _summary(policy: RuntimePolicy) -> dict[str, Any]:
    return {
        "supplier": policy.supplier,
        "id": policy.id,
        "models": list(policy.models),
        "files": len(policy.files),
        "keys": len(policy.keys),
        "digest": policy.digest.hex(),
    }
