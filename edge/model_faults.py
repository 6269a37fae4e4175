"""What a pydantic model finds wrong with a value, as one sentence, and never the value itself."""

from pydantic import ValidationError


def faults_of(error: ValidationError) -> str:
    """Each member by its path, and what is wrong with it."""
    faults = error.errors(include_url=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
