"""The certification authority: ES roots, issuing CAs, Platform Credential enrolment, revocation.

The one rule of this room: nothing is certified because somebody asked for it. What stands in a certificate
comes from a profile (`profiles`) and from facts that a use case proved; a CSR shows possession of a key and
nothing else. Each use case is one file of numbered steps: `hierarchy`, `certification`, `batches`,
`manifests`, `enrollment`, `revocation`, `revocation_lists`.
"""
