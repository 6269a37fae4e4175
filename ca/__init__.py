"""The certification authority: ES roots, issuing CAs, Platform Credential enrolment, revocation."""
