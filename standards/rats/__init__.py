"""RATS formats: EAR, AR4SI, CoRIM, conceptual message wrapper."""
