"""What ends an installation or an update of a MID: the outcomes that a receipt can have besides `installed`."""

from typing import Final

PACKAGE_REFUSED: Final = "package-refused"
ORDER_REFUSED: Final = "order-refused"
STATE_REFUSED: Final = "state-refused"
STORAGE: Final = "storage"
CONTENT_REFUSED: Final = "content-refused"
POLICY_REFUSED: Final = "policy-refused"
REPLAYED: Final = "replayed"
ROLLBACK: Final = "rollback"
UPDATE_REFUSED: Final = "update-refused"


class InstallationError(Exception):
    """A step ended the installation; `code` is one of those above, `detail` is for people and holds no secret."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
