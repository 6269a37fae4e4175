"""X.509, CRL, OCSP and JOSE beyond what the libraries do."""
