"""`pva`: the wiring of the command.

Exit codes (ADR 0019): 0 done, 1 refused or failed, 2 usage, 3 a verdict that is not affirming, 4 not reached.

Rule: here, and only here, an error becomes a report and an exit code.
"""

from typing import Any

import click

from cli.answers import print_failure
from cli.commands.administrators import administrator
from cli.commands.backing_up import backup
from cli.commands.batches import batch
from cli.commands.certificates import certificate
from cli.commands.credentials import credential
from cli.commands.devices import device
from cli.commands.doctoring import doctor
from cli.commands.est import est
from cli.commands.issuing_cas import issuing_ca
from cli.commands.keys import key
from cli.commands.logs import log
from cli.commands.manifest_decisions import COMMANDS as MANIFEST_DECISIONS
from cli.commands.manifest_drafts import COMMANDS as MANIFEST_DRAFTS
from cli.commands.manifests import manifest
from cli.commands.policies import policy
from cli.commands.proposals import proposal
from cli.commands.result_promises import result
from cli.commands.roots import root
from cli.commands.runtime_policies import runtime_policy
from cli.commands.serving import serve
from cli.commands.stations import station
from cli.commands.suppliers import supplier
from cli.commands.suspensions import COMMANDS as SUSPENSIONS
from cli.commands.trust_lists import trust_list
from cli.commands.updates import update
from cli.commands.validations import validation
from cli.commands.watches import watch
from cli.failures import REPORTED, explain
from cli.invocation import Invocation, Section, options
from cli.settings import CONFIG_VARIABLE


class Root(Section):
    """The whole command."""

    def make_context(self, info_name: str | None, args: list[str], **extra: Any) -> click.Context:  # type: ignore[override]  # the parent's optional third parameter is never given by position
        """A context with an invocation in it before any option is read."""
        if extra.get("parent") is None:
            extra.setdefault("obj", Invocation())
        return super().make_context(info_name, args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a failure is printed in the form that was asked for."""
        try:
            return super().invoke(ctx)
        except REPORTED as error:
            failure = explain(error)
            print_failure(failure, output=ctx.obj.output)
            ctx.exit(failure.exit_code)


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=options(config_variable=CONFIG_VARIABLE),
    epilog="Exit codes: 0 done, 1 refused or failed, 2 usage, 3 negative verdict, 4 service not reached.",
)
def main() -> None:
    """Administer the services of an open Platform Validation Authority."""


for each in (
    administrator,
    supplier,
    proposal,
    trust_list,
    root,
    issuing_ca,
    est,
    certificate,
    key,
    manifest,
    runtime_policy,
    policy,
    update,
    batch,
    station,
    device,
    credential,
    validation,
    watch,
    result,
    log,
    serve,
    doctor,
    backup,
):
    main.add_command(each)
for more in (*MANIFEST_DRAFTS, *MANIFEST_DECISIONS):
    manifest.add_command(more)
for more in SUSPENSIONS:
    supplier.add_command(more)
