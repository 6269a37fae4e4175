"""Every object identifier that the project uses, and the only place where its own arc is registered.

Own identifiers hang under an arc that is derived from a UUID, so no registry had to be asked:
1.2.840.113556.1.8000.2554 followed by 8478f031-25be-4888-aa5b-05cd31777187 in seven pieces, an allocation
that is implicit in the UUID. The other UUID arc, 2.25.<UUID as one integer>, needs a 128-bit element, and
RFC 5280 appendix B obliges nobody to read elements of 2^28 or more, so a certificate that holds one is not
readable everywhere (ADR 0001). Retired numbers are never used again.
"""

from typing import Final

from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID

_ARC: Final = "1.2.840.113556.1.8000.2554.33912.61489.9662.18568.43611.380209.7827847"

# 1: purposes (extended key usage)
EKU_PLATFORM_CREDENTIAL: Final = ObjectIdentifier(f"{_ARC}.1.1")
EKU_ATTESTATION_RESULT: Final = ObjectIdentifier(f"{_ARC}.1.2")
EKU_CHALLENGE: Final = ObjectIdentifier(f"{_ARC}.1.3")
EKU_MANIFEST_SIGNING: Final = ObjectIdentifier(f"{_ARC}.1.4")
EKU_BATCH_SIGNING: Final = ObjectIdentifier(f"{_ARC}.1.5")
EKU_SUBSCRIPTION: Final = ObjectIdentifier(f"{_ARC}.1.6")  # SHO: orders, requests, authorisations, packages
EKU_DELIVERY: Final = ObjectIdentifier(f"{_ARC}.1.7")  # DPF
EKU_DISCOVERY: Final = ObjectIdentifier(f"{_ARC}.1.8")  # DRF
EKU_STATE_APPROVAL: Final = ObjectIdentifier(f"{_ARC}.1.9")  # PVA: its day key for TPM policies
EKU_RESULT_ENCRYPTION: Final = ObjectIdentifier(f"{_ARC}.1.10")  # SHO: results that are relayed
EKU_CONNECTIVITY: Final = ObjectIdentifier(f"{_ARC}.1.11")  # CCIF: PCIDs for devices
EKU_TRUST_LIST: Final = ObjectIdentifier(f"{_ARC}.1.12")  # whoever vouches for suppliers

# 2: certificate policies, the security level of a TRE (TR 33.812, 5.2.2.5.2)
POLICY_TRE_LEVELS: Final = {level: ObjectIdentifier(f"{_ARC}.2.{level}") for level in (1, 2, 3)}

# 3: certificate extensions, all non-critical
EXT_EXPECTED_SYSTEM_STATE: Final = ObjectIdentifier(f"{_ARC}.3.1")
EXT_OPERATOR_ROLE: Final = ObjectIdentifier(f"{_ARC}.3.2")
EXT_REQUESTERS: Final = ObjectIdentifier(f"{_ARC}.3.3")  # who had a TLS client's certificate issued

# 4: hwType of device models, see hw_type_of_model
# 5: profiles of formats that others define
CORIM_PROFILE: Final = ObjectIdentifier(f"{_ARC}.5.1")  # reference manifest, standards.rats.comid

# 6: extensions of OCSP answers, non-critical
OCSP_PLATFORM_STATE: Final = ObjectIdentifier(f"{_ARC}.6.1")  # singleExtension, standards.pki.platform_state

# Purposes of others
EKU_TPM_EK: Final = ObjectIdentifier("2.23.133.8.1")  # tcg-kp-EKCertificate
EKU_TPM_AIK: Final = ObjectIdentifier("2.23.133.8.3")  # tcg-kp-AIKCertificate
EKU_OCSP_SIGNING: Final = ExtendedKeyUsageOID.OCSP_SIGNING
EKU_SERVER_AUTH: Final = ExtendedKeyUsageOID.SERVER_AUTH
EKU_CLIENT_AUTH: Final = ExtendedKeyUsageOID.CLIENT_AUTH
EKU_ANY: Final = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE

# id-on-hardwareModuleName, RFC 4108 section 5
ON_HARDWARE_MODULE_NAME: Final = ObjectIdentifier("1.3.6.1.5.5.7.8.4")

# Attributes of a TPM in the SAN of its EK certificate (TCG EK Credential Profile)
TPM_MANUFACTURER: Final = ObjectIdentifier("2.23.133.2.1")
TPM_MODEL: Final = ObjectIdentifier("2.23.133.2.2")
TPM_VERSION: Final = ObjectIdentifier("2.23.133.2.3")


def hw_type_of_model(number: int) -> ObjectIdentifier:
    """HardwareModuleName.hwType of a device model; `number` (>= 1) is allotted by the CA, once a model."""
    if number < 1:
        raise ValueError(f"model number: expected 1 or more, got {number}")
    return ObjectIdentifier(f"{_ARC}.4.{number}")
