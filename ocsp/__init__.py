"""The OCSP responder: the status of Platform Credentials, to the letter of RFC 6960."""
