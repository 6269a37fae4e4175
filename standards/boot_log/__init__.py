"""TCG2 crypto-agile boot log: decoding, replay, measured payloads."""
