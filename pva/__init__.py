"""The Platform Validation Authority (RATS Verifier): challenges, evidence, appraisal, results."""
