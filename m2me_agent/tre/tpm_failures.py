"""How what a TPM refuses becomes a refusal of the TRE, and what is flushed however an exchange ends."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from m2me_agent.tre.errors import PlaceTakenError, TpmDeviceError
from standards.tpm2.connection import TpmConnection
from standards.tpm2.errors import ResponseError, Tpm2Error
from standards.tpm2.return_codes import ReturnCode, base


@contextmanager
def flushed(tpm: TpmConnection, handle: int) -> Iterator[None]:
    """Flush a session or a transient object at the end, without hiding what went wrong before."""
    try:
        yield
    finally:
        with suppress(Tpm2Error, TpmDeviceError):
            tpm.flush_context(handle)


@contextmanager
def reported(subject: str) -> Iterator[None]:
    """Turn what the codec raises into TpmDeviceError."""
    try:
        yield
    except ResponseError as error:
        raise TpmDeviceError(subject=subject, reason=str(error), remedy=_remedy(error.rc)) from error
    except Tpm2Error as error:
        raise TpmDeviceError(
            subject=subject, reason=str(error), remedy="check that nothing stands between TRE and TPM"
        ) from error


def occupied(subject: str, place: int) -> PlaceTakenError:
    """Refuse to touch what stands at our place and is not ours."""
    return PlaceTakenError(
        subject=subject,
        reason=f"something that this TRE did not make stands at 0x{place:08x}",
        remedy="find out whose it is; remove it there, or use another TPM",
    )


def _remedy(rc: int) -> str:
    match base(rc):
        case ReturnCode.INITIALIZE:
            return "start the TPM: firmware sends TPM2_Startup, for a TPM in software its server does"
        case ReturnCode.AUTH_FAIL | ReturnCode.BAD_AUTH:
            return (
                "the TRE's authValues are not those of the TPM's objects, or a hierarchy has one that the "
                "TRE was not given; restore the TRE's state or enrol again"
            )
        case _:
            return "enrol the device again; if that does not help, the TPM needs service"
